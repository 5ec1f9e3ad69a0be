//! Tests of `router` with curl.

use std::io::{Read, Write};

use crate::support::{Program, SHUTTING_DOWN, run_client};

fn start() -> Program {
    Program::start(env!("CARGO_BIN_EXE_router"), &[])
}

#[test]
fn curl_gets_the_response_of_each_route_and_the_status_of_each_error() {
    let server = start();
    let curl = |path: &str, arguments: &[&str]| {
        let url = format!("http://{}{path}", server.address);
        let all = [&["-sS", "-w", " %{http_code}", &url], arguments].concat();
        run_client("curl", &all, b"")
    };
    let json = |text| ["--json", text];
    assert_eq!(curl("/", &[]), "Hello from axum on Wakeful\n 200");
    assert_eq!(curl("/hello/you", &[]), r#"{"hello":"you","visit":1} 200"#);
    let again = curl("/hello/%C3%A4", &["--http2-prior-knowledge"]);
    assert_eq!(again, r#"{"hello":"ä","visit":2} 200"#);
    assert_eq!(curl("/sum", &json("[1, 2.5, -3]")), "0.5 200");
    assert!(curl("/sum", &json("[1,")).ends_with(" 400"));
    assert!(curl("/sum", &json("{}")).ends_with(" 422"));
    assert!(curl("/sum", &["--data", "1"]).ends_with(" 415"));
    assert!(curl("/sum", &[]).ends_with(" 405"));
    assert!(curl("/nowhere", &[]).ends_with(" 404"));
    server.assert_all_closed();
}

#[test]
fn a_sleeping_handler_serves_a_hundred_clients_at_once() {
    let server = start();
    let url = format!("http://{}/later?[1-200]", server.address);
    let arguments = [
        "-sS",
        "--parallel",
        "--parallel-immediate",
        "--parallel-max",
        "100",
        &url,
    ];
    assert_eq!(run_client("curl", &arguments, b""), "later\n".repeat(200));
    server.assert_all_closed();
}

#[test]
fn the_next_client_is_served_after_others_disconnected_before_their_response() {
    let server = start();
    server.disconnect_after(b"GET /later HTTP/1.1\r\nhost: x\r\n\r\n");
    server.disconnect_after(
        b"POST /sum HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
          content-length: 9\r\n\r\n[1,",
    );
    let url = format!("http://{}/later", server.address);
    assert_eq!(run_client("curl", &["-sS", &url], b""), "later\n");
}

#[test]
fn ctrl_c_ends_idle_connections_without_aborting_them() {
    let server = start();
    let mut idle = server.connect();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut response = [0; 512];
    let n = idle.read(&mut response).unwrap();
    assert!(response[..n].ends_with(b"Hello from axum on Wakeful\n"));
    server.ctrl_c();
    assert_eq!(idle.read(&mut response).unwrap(), 0);
    assert_eq!(server.end(), [SHUTTING_DOWN], "no connection was aborted");
}
