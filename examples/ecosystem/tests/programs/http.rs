//! Tests of `http` with curl, wrk, h2load and Python's http.client.

use std::io::{Read, Write};

use crate::support::{
    Client, Program, SHUTTING_DOWN, folder, pattern, run_client, run_client_bytes,
};

fn start() -> Program {
    Program::start(env!("CARGO_BIN_EXE_http"), &[])
}

/// The option of curl for a version, and the version that curl then reports.
const VERSIONS: [(&str, &str); 2] = [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")];

#[test]
fn curl_gets_responses_in_both_http_versions() {
    let server = start();
    let url = |path: &str| format!("http://{}{path}", server.address);
    for (option, version) in VERSIONS {
        let show = "\n%{http_code} %{http_version}";
        let curl = |arguments: &[&str]| {
            let all = [&["-sS", option, "-w", show], arguments].concat();
            run_client("curl", &all, b"")
        };
        let hello = format!("Hello from Wakeful\n\n200 {version}");
        assert_eq!(curl(&[&url("/")]), hello);
        let nothing = format!("nothing at /nowhere\n\n404 {version}");
        assert_eq!(curl(&[&url("/nowhere")]), nothing);
        let echoed = format!("some text\n200 {version}");
        assert_eq!(curl(&["--data", "some text", &url("/echo")]), echoed);
    }
    server.assert_all_closed();
}

#[test]
fn a_large_body_is_echoed_in_full() {
    let server = start();
    let url = format!("http://{}/echo", server.address);
    let body = pattern(8 << 20);
    for (option, _) in VERSIONS {
        let arguments = ["-sS", option, "--data-binary", "@-", &url];
        assert!(
            run_client_bytes("curl", &arguments, &body) == body,
            "{option}"
        );
    }
    server.assert_all_closed();
}

#[test]
fn a_hundred_http_1_clients_are_served_at_once() {
    let server = start();
    let url = format!("http://{}/echo?[1-200]", server.address);
    let arguments = "-sS --http1.1 --parallel --parallel-immediate --parallel-max 100 \
        --data text -o /dev/null -w %{http_code}:%{size_download}\\n";
    let arguments: Vec<_> = arguments.split_whitespace().chain([&*url]).collect();
    assert_eq!(run_client("curl", &arguments, b""), "200:4\n".repeat(200));
    server.assert_all_closed();
}

#[test]
fn h2load_reports_no_error_with_ten_streams_on_each_of_a_hundred_connections() {
    // curl of Debian 12 cannot reuse a connection with --http2-prior-knowledge, with any server.
    let server = start();
    let url = format!("http://{}/echo", server.address);
    let body = folder("h2load").join("body");
    std::fs::write(&body, pattern(1000)).unwrap();
    let options = ["-n", "5000", "-c", "100", "-m", "10"];
    let what = ["-d", body.to_str().unwrap(), &url];
    let report = run_client("h2load", &[&options[..], &what[..]].concat(), b"");
    let all = "5000 done, 5000 succeeded, 0 failed, 0 errored, 0 timeout";
    assert!(report.contains(all), "{report}");
    assert!(report.contains("status codes: 5000 2xx"), "{report}");
    // Every byte of the bodies was echoed.
    assert!(report.contains("(5000000) data"), "{report}");
    server.assert_all_closed();
}

#[test]
fn wrk_reports_no_error_with_a_hundred_connections() {
    let server = start();
    let url = format!("http://{}/", server.address);
    // The default timeout of two seconds is too short for a busy machine.
    let options = ["-t1", "-c100", "-d2s", "--timeout", "50s"];
    let report = run_client("wrk", &[&options[..], &[&*url]].concat(), b"");
    assert!(report.contains("Requests/sec"), "{report}");
    // wrk prints these lines only if there were errors.
    assert!(!report.contains("Socket errors"), "{report}");
    assert!(!report.contains("Non-2xx"), "{report}");
    server.assert_all_closed();
}

#[test]
fn the_next_client_is_served_after_others_disconnected_in_the_middle_of_a_request() {
    let server = start();
    server.disconnect_after(b"");
    server.disconnect_after(b"GET / HT");
    server.disconnect_after(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf");
    // The preface of HTTP/2 and an empty SETTINGS frame, then the same truncated within the frame.
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    server.disconnect_after(http2);
    server.disconnect_after(&http2[..28]);
    let url = format!("http://{}/", server.address);
    assert_eq!(
        run_client("curl", &["-sS", &url], b""),
        "Hello from Wakeful\n"
    );
}

/// Sends a request and then keeps the connection open.
const KEEP_ALIVE: &str = r#"
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], timeout=60)
connection.request("GET", "/")
print(connection.getresponse().read().decode(), end="", flush=True)
print(connection.sock.recv(1))
"#;

#[test]
fn ctrl_c_ends_idle_connections_without_aborting_them() {
    let server = start();
    let mut idle = Client::python(KEEP_ALIVE, &[&server.address.to_string()]);
    assert_eq!(idle.line(), "Hello from Wakeful");
    let mut silent = server.connect();
    server.ctrl_c();
    assert_eq!(idle.line(), "b''", "the end of the connection");
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    assert_eq!(server.end(), [SHUTTING_DOWN], "no connection was aborted");
}

/// Sends the first half of a request's body and waits until the server has echoed it.
fn send_half(mut client: &std::net::TcpStream) {
    let request = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 8\r\n\r\nhalf";
    client.write_all(request).unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"half") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        received.extend(byte);
    }
}

#[test]
fn ctrl_c_lets_a_request_in_progress_finish() {
    let server = start();
    let mut client = server.connect();
    send_half(&client);
    server.ctrl_c();
    server.wait_for_line(SHUTTING_DOWN);
    client.write_all(b"rest").unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "rest");
    assert_eq!(server.end(), [SHUTTING_DOWN]);
}

#[test]
fn a_second_ctrl_c_aborts_a_request_in_progress() {
    let server = start();
    let client = server.connect();
    send_half(&client);
    server.ctrl_c();
    server.wait_for_line(SHUTTING_DOWN);
    server.ctrl_c();
    let aborting = "second Ctrl-C: aborting the busy connections";
    let aborted = "connections aborted: 1";
    assert_eq!(server.end(), [SHUTTING_DOWN, aborting, aborted]);
}
