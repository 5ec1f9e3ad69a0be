//! Tests of `get` and `reqwest-client` with the server `http` of `examples/ecosystem`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use wakeful::hyper::WakefulExecutor;

use crate::support::{Client, Program, SHUTTING_DOWN, TIMEOUT, run_client};

/// Both programs do the same.
const PROGRAMS: [&str; 2] = [
    env!("CARGO_BIN_EXE_get"),
    env!("CARGO_BIN_EXE_reqwest-client"),
];

fn start() -> Program {
    Program::start(env!("CARGO_BIN_EXE_http-server"), &[])
}

/// Accepts a client, which is expected to connect within a minute.
fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(TIMEOUT)).unwrap();
            return stream;
        }
        assert!(Instant::now() < deadline, "no client has connected");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn responses_are_printed_with_their_status() {
    let server = start();
    let url = |path: &str| format!("http://{}{path}", server.address);
    for program in PROGRAMS {
        let output = run_client(program, &[&url("/"), &url("/nowhere")], b"");
        let expected = "200 Hello from Wakeful\n404 nothing at /nowhere\n";
        assert_eq!(output, expected, "{program}");
        // The lookup of a name.
        let url = format!("http://localhost:{}/", server.address.port());
        assert_eq!(
            run_client(program, &[&url], b""),
            "200 Hello from Wakeful\n"
        );
    }
    server.assert_all_closed();
}

#[test]
fn a_hundred_requests_run_at_once() {
    let server = start();
    let url = format!("http://{}/", server.address);
    for program in PROGRAMS {
        let output = run_client(program, &[&*url; 100], b"");
        assert_eq!(output, "200 Hello from Wakeful\n".repeat(100), "{program}");
    }
    server.assert_all_closed();
}

#[test]
fn the_server_serves_the_next_client_after_others_were_killed() {
    let server = start();
    for program in PROGRAMS {
        // A server that accepts and never responds keeps the client in its second request.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent_url = format!("http://{}/", silent.local_addr().unwrap());
        let url = format!("http://{}/", server.address);
        let client = Client::start(program, &[&silent_url, &url]);
        let mut stream = accept(&silent);
        stream.read_exact(&mut [0]).unwrap();
        drop(client);
        assert_eq!(
            run_client(program, &[&url], b""),
            "200 Hello from Wakeful\n"
        );
    }
    server.assert_all_closed();
}

#[test]
fn a_server_that_disconnects_in_the_middle_of_a_response_is_an_error() {
    for program in PROGRAMS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let mut stream = accept(&listener);
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            let half = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf";
            stream.write_all(half).unwrap();
        });
        let error = Client::start(program, &[&url]).failure();
        let cause = "end of file before message length reached";
        assert!(error.contains(cause), "{program}: {error}");
        server.join().unwrap();
    }
}

#[test]
fn errors_name_the_url_or_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for program in PROGRAMS {
        let error = Client::start(program, &[&format!("http://{address}/")]).failure();
        assert!(error.contains("Connection refused"), "{program}: {error}");
        assert!(error.contains(&address.to_string()), "{program}: {error}");
    }
}

#[test]
fn get_has_one_thread_and_reqwest_client_a_second_one() {
    for (program, threads) in PROGRAMS.into_iter().zip([1, 2]) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let client = Client::start(program, &[&url]);
        let mut stream = accept(&listener);
        stream.read_exact(&mut [0]).unwrap();
        assert_eq!(client.threads(), threads, "{program}");
    }
}

#[test]
fn the_cost_of_a_request_is_printed_for_both_clients() {
    let server = start();
    let url = format!("http://{}/", server.address);
    let output = run_client(env!("CARGO_BIN_EXE_cost"), &[&url], b"");
    let lines: Vec<_> = output.lines().collect();
    let [one, two] = &lines[..] else {
        panic!("{output}");
    };
    assert!(one.starts_with("hyper-util: "), "{output}");
    assert!(one.contains("; 1 threads, "), "{output}");
    assert!(two.starts_with("reqwest: "), "{output}");
    assert!(two.contains("; 2 threads, "), "{output}");
}

#[test]
fn ctrl_c_ends_the_idle_http_2_connection_of_a_client() {
    let server = start();
    wakeful::block_on(async {
        let stream = wakeful_net::TcpStream::connect(server.address);
        let stream = stream.await.unwrap();
        let handshake = http2::handshake(WakefulExecutor, stream);
        let (mut sender, connection) = handshake.await.unwrap();
        let connection = wakeful::spawn(connection);
        let request = Request::get(format!("http://{}/", server.address));
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "Hello from Wakeful\n");
        server.ctrl_c();
        connection.await.unwrap().unwrap();
    });
    assert_eq!(server.end(), [SHUTTING_DOWN], "no connection was aborted");
}
