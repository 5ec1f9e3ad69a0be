//! `http` and curl, wrk and h2load.

use crate::support::{Program, client, client_bytes, folder, pattern};

fn start() -> Program {
    Program::start(env!("CARGO_BIN_EXE_http"), &[])
}

/// The version curl is told to speak, and what it then reports.
const VERSIONS: [(&str, &str); 2] = [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")];

#[test]
fn curl_is_answered_in_both_versions() {
    let server = start();
    let url = |path: &str| format!("http://{}{path}", server.address);
    for (option, version) in VERSIONS {
        let show = "\n%{http_code} %{http_version}";
        let curl = |arguments: &[&str]| {
            let all = [&["-sS", option, "-w", show], arguments].concat();
            client("curl", &all, b"")
        };
        let hello = format!("Hello from Wakeful\n\n200 {version}");
        assert_eq!(curl(&[&url("/")]), hello);
        let nothing = format!("nothing at /nowhere\n\n404 {version}");
        assert_eq!(curl(&[&url("/nowhere")]), nothing);
        let echoed = format!("some text\n200 {version}");
        assert_eq!(curl(&["--data", "some text", &url("/echo")]), echoed);
    }
    server.comes_to_rest();
}

#[test]
fn a_large_body_comes_back_whole_while_it_is_sent() {
    let server = start();
    let url = format!("http://{}/echo", server.address);
    let body = pattern(8 << 20);
    for (option, _) in VERSIONS {
        let arguments = ["-sS", option, "--data-binary", "@-", &url];
        assert!(client_bytes("curl", &arguments, &body) == body, "{option}");
    }
    server.comes_to_rest();
}

#[test]
fn a_hundred_clients_of_http_1_are_answered_at_once() {
    let server = start();
    let url = format!("http://{}/echo?[1-200]", server.address);
    let arguments = "-sS --http1.1 --parallel --parallel-immediate --parallel-max 100 \
        --data text -o /dev/null -w %{http_code}:%{size_download}\\n";
    let arguments: Vec<_> = arguments.split_whitespace().chain([&*url]).collect();
    assert_eq!(client("curl", &arguments, b""), "200:4\n".repeat(200));
    server.comes_to_rest();
}

#[test]
fn h2load_finds_no_error_in_a_thousand_streams_of_a_hundred_connections() {
    // Not curl: that of Debian 12 cannot use a connection twice with --http2-prior-knowledge,
    // whatever the server.
    let server = start();
    let url = format!("http://{}/echo", server.address);
    let body = folder("h2load").join("body");
    std::fs::write(&body, pattern(1000)).unwrap();
    let options = ["-n", "5000", "-c", "100", "-m", "10"];
    let what = ["-d", body.to_str().unwrap(), &url];
    let report = client("h2load", &[&options[..], &what[..]].concat(), b"");
    let all = "5000 done, 5000 succeeded, 0 failed, 0 errored, 0 timeout";
    assert!(report.contains(all), "{report}");
    assert!(report.contains("status codes: 5000 2xx"), "{report}");
    // Every byte of the bodies came back.
    assert!(report.contains("(5000000) data"), "{report}");
    server.comes_to_rest();
}

#[test]
fn wrk_finds_no_error_under_a_hundred_connections() {
    let server = start();
    let url = format!("http://{}/", server.address);
    // By itself it counts an answer that takes two seconds as an error: on a busy machine it is none.
    let options = ["-t1", "-c100", "-d2s", "--timeout", "50s"];
    let report = client("wrk", &[&options[..], &[&*url]].concat(), b"");
    assert!(report.contains("Requests/sec"), "{report}");
    // wrk mentions these only when there were any.
    assert!(!report.contains("Socket errors"), "{report}");
    assert!(!report.contains("Non-2xx"), "{report}");
    server.comes_to_rest();
}

#[test]
fn clients_that_vanish_in_the_middle_of_a_request_concern_nobody_else() {
    let server = start();
    server.vanish(b"");
    server.vanish(b"GET / HT");
    server.vanish(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf");
    // The preface of HTTP/2 and an empty SETTINGS frame; and the same cut off within the frame.
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    server.vanish(http2);
    server.vanish(&http2[..28]);
    let url = format!("http://{}/", server.address);
    assert_eq!(client("curl", &["-sS", &url], b""), "Hello from Wakeful\n");
}
