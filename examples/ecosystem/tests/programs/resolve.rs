//! Tests of `resolve` with a DNS server of this file.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;

use crate::support::{Client, run_client};

const PROGRAM: &str = env!("CARGO_BIN_EXE_resolve");

/// Starts a server for UDP and TCP on one port. Its threads end with the test process.
fn start() -> SocketAddr {
    // The port of one protocol can be in use by the other.
    let (udp, tcp) = (0..100)
        .find_map(|_| {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            let tcp = TcpListener::bind(udp.local_addr().unwrap()).ok()?;
            Some((udp, tcp))
        })
        .unwrap();
    let address = udp.local_addr().unwrap();
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((n, peer)) = udp.recv_from(&mut query) {
            if let Some(answer) = answer(&query[..n], true) {
                udp.send_to(&answer, peer).unwrap();
            }
        }
    });
    thread::spawn(move || {
        for stream in tcp.incoming().map_while(Result::ok) {
            serve_tcp(stream).ok();
        }
    });
    address
}

/// Answers queries, each of which has its length in front.
fn serve_tcp(mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut query = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut query)?;
        let answer = answer(&query, false).unwrap();
        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length, &*answer].concat())?;
    }
}

/// Returns the response to a query, or `None` where the server remains silent.
fn answer(query: &[u8], is_udp: bool) -> Option<Vec<u8>> {
    // The header has 12 bytes. Then follow the labels of the name, each with its length in front.
    let mut end = 12;
    let mut labels = Vec::new();
    while query[end] > 0 {
        let label = &query[end + 1..][..query[end].into()];
        labels.push(String::from_utf8(label.to_ascii_lowercase()).unwrap());
        end += 1 + label.len();
    }
    let is_a = query[end + 1..end + 3] == [0, 1];
    let question = &query[12..end + 5];

    const TRUNCATED: u16 = 0x0200;
    const NO_SUCH_NAME: u16 = 3;
    let (flags, count) = match &*labels.join(".") {
        "one.test" => (0, 1),
        "many.test" if is_udp => (TRUNCATED, 0),
        "many.test" => (0, 100),
        "silent.test" => return None,
        _ => (NO_SUCH_NAME, 0),
    };
    let count = if is_a { count } else { 0 };
    let mut answer = query[..2].to_vec();
    // A response; recursion was desired and is available.
    for number in [0x8180 | flags, 1, count, 0, 0] {
        answer.extend(u16::to_be_bytes(number));
    }
    answer.extend(question);
    for n in 1..=count {
        // The name of the question, type A, class IN, a minute, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend([192, 0, 2, u8::try_from(n).unwrap()]);
    }
    Some(answer)
}

#[test]
fn addresses_arrive_by_udp_and_long_answers_by_tcp() {
    let server = start().to_string();
    let output = run_client(PROGRAM, &[&server, "one.test."], b"");
    assert_eq!(output, "one.test.: 192.0.2.1\n");
    let output = run_client(PROGRAM, &[&server, "many.test."], b"");
    assert_eq!(output.matches("192.0.2.").count(), 100, "{output}");
}

#[test]
fn fifty_lookups_run_at_once_on_one_thread() {
    let server = start().to_string();
    let mut arguments = vec![&*server];
    arguments.extend(["one.test."; 50]);
    let output = run_client(PROGRAM, &arguments, b"");
    assert_eq!(output, "one.test.: 192.0.2.1\n".repeat(50));

    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = silent.local_addr().unwrap().to_string();
    let client = Client::start(PROGRAM, &[&[&*server], &["one.test."; 50][..]].concat());
    silent.recv_from(&mut [0; 512]).unwrap();
    assert_eq!(client.threads(), 1);
}

#[test]
fn a_name_that_does_not_exist_is_an_error_and_does_not_affect_another() {
    let server = start().to_string();
    let mut client = Client::start(PROGRAM, &[&server, "none.test.", "one.test."]);
    assert_eq!(client.line(), "one.test.: 192.0.2.1");
    let error = client.failure();
    assert!(
        error.starts_with("error: none.test.: DNS error: no records found"),
        "{error}"
    );
}

#[test]
fn a_server_that_does_not_answer_is_an_error_after_the_time_limit() {
    let server = start().to_string();
    let error = Client::start(PROGRAM, &[&server, "silent.test."]).failure();
    assert!(error.starts_with("error: silent.test.: "), "{error}");
    // A port on which nothing listens.
    let address = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = Client::start(PROGRAM, &[&address.to_string(), "one.test."]).failure();
    assert!(error.starts_with("error: one.test.: "), "{error}");
}
