//! Tests of `layers` with curl.

use std::io::{Read, Write};

use crate::support::{Program, SHUTTING_DOWN, run_client};

fn start() -> Program {
    Program::start(env!("CARGO_BIN_EXE_layers"), &[])
}

fn curl(server: &Program, path: &str) -> String {
    let url = format!("http://{}{path}", server.address);
    run_client("curl", &["-sS", "-w", " %{http_code}", &url], b"")
}

#[test]
fn responses_in_time_pass_the_layer_and_late_ones_are_errors() {
    let server = start();
    assert_eq!(curl(&server, "/"), "Hello\n 200");
    assert_eq!(curl(&server, "/sleep/10"), "slept\n 200");
    assert_eq!(curl(&server, "/sleep/600000"), "request timed out\n 408");
    server.assert_all_closed();
}

#[test]
fn a_hundred_late_responses_end_at_once() {
    let server = start();
    let url = format!("http://{}/sleep/600000?[1-100]", server.address);
    let arguments = "-sS --parallel --parallel-immediate --parallel-max 100";
    let arguments: Vec<_> = arguments.split(' ').chain([&*url]).collect();
    let output = run_client("curl", &arguments, b"");
    assert_eq!(output, "request timed out\n".repeat(100));
    server.assert_all_closed();
}

#[test]
fn the_next_client_is_served_after_others_disconnected_before_their_response() {
    let server = start();
    server.disconnect_after(b"");
    server.disconnect_after(b"GET /sleep/600000 HTTP/1.1\r\nhost: x\r\n\r\n");
    server.disconnect_after(b"GET /sleep/10 HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(curl(&server, "/sleep/10"), "slept\n 200");
}

#[test]
fn ctrl_c_ends_idle_connections_without_aborting_them() {
    let server = start();
    let mut idle = server.connect();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut response = [0; 512];
    let n = idle.read(&mut response).unwrap();
    assert!(response[..n].ends_with(b"Hello\n"));
    server.ctrl_c();
    assert_eq!(idle.read(&mut response).unwrap(), 0);
    assert_eq!(server.end(), [SHUTTING_DOWN], "no connection was aborted");
}
