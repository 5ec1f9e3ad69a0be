//! Tests of `get`, against answers that the test writes. The real servers are in `examples/ecosystem`.

use std::io::{Read, Write};
use std::process::{Command, Output};
use std::thread;

use crate::support::{Server, assert_usage_error, executable};

const USAGE: &str = "the argument is a URL of the form http://HOST[:PORT][/PATH]";

/// Runs `get` with a path; the server sends `answer` and closes. Returns the request and the output.
fn get(path: &str, answer: &[u8]) -> (String, Output) {
    let server = Server::bind();
    let url = format!("http://{}{path}", server.address());
    let answer = answer.to_vec();
    let serving = thread::spawn(move || {
        let mut stream = server.accept();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.extend_from_slice(&byte);
        }
        stream.write_all(&answer).unwrap();
        String::from_utf8(request).unwrap()
    });
    let output = Command::new(executable("get")).arg(url).output().unwrap();
    (serving.join().unwrap(), output)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Asserts a complete answer: the body on stdout, the status and the length on stderr.
fn assert_answer(answer: &str, status: &str, body: &str) {
    let (_, output) = get("/", answer.as_bytes());
    assert_eq!(text(&output.stdout), body, "{answer:?}");
    let length = body.len();
    assert_eq!(text(&output.stderr), format!("{status}\n{length} bytes\n"));
    assert!(output.status.success());
}

/// Asserts the last line of stderr after an answer that is wrong or incomplete.
fn assert_error(answer: &str, error: &str) {
    let (_, output) = get("/", answer.as_bytes());
    let last = text(&output.stderr).lines().last();
    assert_eq!(last, Some(&*format!("error: {error}")), "{answer:?}");
    assert_eq!(output.status.code(), Some(1), "{answer:?}");
}

#[test]
fn get_sends_host_and_path() {
    let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
    for (path, sent) in [("", "/"), ("/a/b?c=d#e", "/a/b?c=d"), ("?q", "/?q")] {
        let (request, output) = get(path, answer);
        assert!(request.starts_with(&format!("GET {sent} HTTP/1.1\r\nHost: 127.0.0.1:")));
        assert!(request.contains("\r\nConnection: close\r\n"));
        assert!(output.status.success());
    }
}

#[test]
fn get_prints_bodies_of_every_kind() {
    let ok = "HTTP/1.1 200 OK";
    assert_answer(
        &format!("{ok}\r\ncontent-LENGTH: 5\r\n\r\nhello and more"),
        ok,
        "hello",
    );
    assert_answer(&format!("{ok}\r\n\r\nuntil the end"), ok, "until the end");
    assert_answer(
        &format!(
            "{ok}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nB;x=y\r\n and more..\r\n0\r\n\r\n"
        ),
        ok,
        "hello and more..",
    );
    let missing = "HTTP/1.0 404 Not Found";
    assert_answer(
        &format!("{missing}\nContent-Length: 2\n\nno"),
        missing,
        "no",
    );
    assert_answer(
        &format!("HTTP/1.1 100 Continue\r\n\r\n{ok}\r\nContent-Length: 1\r\n\r\n1"),
        ok,
        "1",
    );
    let unchanged = "HTTP/1.1 304 Not Modified";
    assert_answer(
        &format!("{unchanged}\r\nContent-Length: 9\r\n\r\n"),
        unchanged,
        "",
    );
}

#[test]
fn get_reports_answers_that_are_incomplete_or_wrong() {
    let ok = "HTTP/1.1 200 OK\r\n";
    assert_error(
        &format!("{ok}Content-Length: 5\r\n\r\nhel"),
        "the body ended after 3 of 5 bytes",
    );
    assert_error(ok, "the connection ended inside of a line");
    assert_error("", "the connection ended inside of a line");
    assert_error("\u{1b}[2J\r\n", "not an answer in HTTP/1.1: \"\\u{1b}[2J\"");
    assert_error(
        &format!("{ok}Content-Length: -5\r\n\r\n"),
        "not a length: \"-5\"",
    );
    assert_error(
        &format!("{ok}nothing\r\n\r\n"),
        "a header without a colon: \"nothing\"",
    );
    let chunked = format!("{ok}Transfer-Encoding: chunked\r\n\r\n");
    assert_error(&format!("{chunked}x\r\n"), "not a length: \"x\"");
    assert_error(
        &format!("{chunked}3\r\nhello\r\n"),
        "a chunk is longer than its length says",
    );
    assert_error(
        &format!("{chunked}3\r\nhel\r\n"),
        "the connection ended inside of a line",
    );
    assert_error(
        &format!("{ok}Transfer-Encoding: gzip\r\n\r\n"),
        "unknown encoding \"gzip\"",
    );
    let endless = format!("{ok}{}: x\r\n", "a".repeat(70_000));
    let (_, output) = get("/", endless.as_bytes());
    assert_eq!(
        text(&output.stderr),
        "error: the head has more than 65536 bytes\n"
    );
}

#[test]
fn get_names_the_address_that_refuses() {
    let target = Server::bind_on("127.0.0.79").address();
    let url = format!("http://{target}/");
    let output = Command::new(executable("get")).arg(url).output().unwrap();
    let error = format!("error: connect {target}: Connection refused (os error 111)\n");
    assert_eq!(text(&output.stderr), error);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn get_names_the_urls_that_it_accepts() {
    for arguments in [&[][..], &["http://a", "http://b"]] {
        assert_usage_error("get", arguments, USAGE);
    }
    for (url, why) in [
        ("example.org", "the scheme is missing"),
        ("https://example.org", "`https` is not supported"),
        ("http:///path", "the host is missing, or it has a user name"),
        (
            "http://me@example.org",
            "the host is missing, or it has a user name",
        ),
        (
            "http://example.org/a b",
            "spaces and characters other than ASCII are not allowed",
        ),
    ] {
        assert_usage_error("get", &[url], &format!("{url:?}: {why}; {USAGE}"));
    }
}
