//! The load generator must detect a server that violates the protocol; otherwise its figures are
//! worthless.

#![allow(clippy::missing_panics_doc, reason = "a test may panic")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bench_load::Report;

/// Starts a server that runs `serve` in a thread per connection.
fn server(serve: fn(TcpStream, Vec<u8>)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback works");
    let address = listener.local_addr().expect("loopback works");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("loopback works");
            thread::spawn(move || serve(stream, vec![0; 4096]));
        }
    });
    address
}

fn load(server: SocketAddr, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench-load"))
        .arg(server.to_string())
        .args(arguments.split(' '))
        .output()
        .expect("loopback works")
}

/// Echoes after `change` has modified each piece; its second argument is the number of bytes before.
fn echo(mut stream: TcpStream, mut buffer: Vec<u8>, change: fn(&mut Vec<u8>, usize)) {
    let mut before = 0;
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        let mut answer = buffer[..length].to_vec();
        change(&mut answer, before);
        before += length;
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

fn correct_echo(stream: TcpStream, buffer: Vec<u8>) {
    echo(stream, buffer, |_answer, _before| {});
}

#[test]
fn a_correct_server_yields_a_report_of_the_requested_count() {
    let address = server(correct_echo);
    for (arguments, count) in [
        ("echo --clients 3 --size 1000 --depth 4 --messages 500", 500),
        ("echo --clients 2 --size 100000 --messages 20", 20),
        ("connections --count 40 --clients 4", 40),
    ] {
        let output = load(address, arguments);
        assert!(output.status.success(), "{arguments}: {output:?}");
        let report: Report = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report.count, count, "{arguments}");
        assert!(report.p50_us > 0.0 && report.p50_us <= report.p999_us);
    }
}

/// Runs a load that measures three times on request, and returns its reports.
fn three_reports(server: SocketAddr, arguments: &str) -> Vec<Report> {
    let mut load = Command::new(env!("CARGO_BIN_EXE_bench-load"))
        .arg(server.to_string())
        .args(arguments.split(' '))
        .arg("--on-request")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("loopback works");
    let mut requests = load.stdin.take().expect("a pipe");
    let mut lines = BufReader::new(load.stdout.take().expect("a pipe")).lines();
    let mut report = || {
        writeln!(requests).expect("the load reads");
        let line = lines.next().expect("an answer").expect("text");
        serde_json::from_str(&line).expect("a report")
    };
    let reports = Vec::from_iter((0..3).map(|_| report()));
    drop(requests);
    assert!(lines.next().is_none());
    assert!(load.wait().expect("the load exits").success());
    reports
}

#[test]
fn on_request_every_line_yields_a_report_over_the_same_connections() {
    let arguments = "echo --clients 3 --depth 2 --messages 50";
    let reports = three_reports(server(correct_echo), arguments);
    assert!(reports.iter().all(|report| report.count == 50));
}

#[test]
fn round_trips_cover_all_measurements() {
    let address = server(|stream, buffer| {
        echo(stream, buffer, |_answer, before| {
            // The first message of a connection is sent while it is opened.
            if before == 64 {
                thread::sleep(Duration::from_millis(50));
            }
        });
    });
    for report in three_reports(address, "echo --clients 1 --messages 10") {
        assert!(report.p999_us >= 50_000.0, "{report:?}");
    }
}

#[test]
fn every_message_that_begins_in_time_is_counted() {
    static ECHOED: AtomicU64 = AtomicU64::new(0);
    let address = server(|stream, buffer| {
        echo(stream, buffer, |answer, _before| {
            ECHOED.fetch_add(answer.len() as u64, Ordering::Relaxed);
        });
    });
    let arguments = "echo --clients 3 --depth 5 --millis 5 --warm-up 0";
    let reports = three_reports(address, arguments);
    let counted: u64 = reports.iter().map(|report| report.count).sum();
    assert!(counted >= 3 * 3 * 5);
    let opening = 3;
    assert_eq!(ECHOED.load(Ordering::Relaxed), (opening + counted) * 64);
}

#[test]
fn one_wrong_byte_is_an_error() {
    let address = server(|stream, buffer| {
        echo(stream, buffer, |answer, before| {
            if before > 10_000 {
                answer[0] ^= 1;
            }
        });
    });
    assert_fails(address, "echo --clients 2 --messages 2000", "wrong bytes");
}

#[test]
fn one_missing_byte_is_an_error() {
    let address = server(|stream, buffer| {
        echo(stream, buffer, |answer, before| {
            if before <= 5000 && before + answer.len() > 5000 {
                answer.remove(0);
            }
        });
    });
    assert_fails(
        address,
        "echo --clients 1 --depth 4 --messages 2000",
        "wrong bytes",
    );
}

#[test]
fn one_byte_too_many_is_an_error() {
    let address = server(|stream, buffer| {
        echo(stream, buffer, |answer, _before| answer.push(0));
    });
    assert_fails(address, "connections --count 5", "the server");
    assert_fails(address, "echo --clients 1 --messages 5", "the server");
}

#[test]
fn a_connection_closed_early_is_an_error() {
    let address = server(|mut stream, mut buffer| {
        // Answers the first message only.
        if let Ok(length) = stream.read(&mut buffer) {
            stream.write_all(&buffer[..length]).unwrap();
        }
    });
    assert_fails(address, "echo --clients 2 --messages 100", "");
}

#[test]
fn only_loopback_addresses_are_accepted() {
    let remote = "192.0.2.1:80".parse().unwrap();
    assert_fails(remote, "echo --messages 1", "loopback");
}

fn assert_fails(address: SocketAddr, arguments: &str, reason: &str) {
    let output = load(address, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{arguments}: {output:?}");
    assert!(stderr.contains(reason), "{arguments}: {stderr}");
    assert!(output.stdout.is_empty(), "a failure reports no figures");
}

/// The arguments of a short mixed load; one message per millisecond.
const MIXED: &str =
    "mixed --clients 5 --rate 1000 --streams 2 --window 50000 --millis 20 --warm-up 5";

#[test]
fn a_mixed_load_counts_messages_and_bytes_of_streams() {
    let output = load(server(correct_echo), MIXED);
    assert!(output.status.success(), "{output:?}");
    let report: Report = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report.count, 20);
    assert!(report.streamed >= 2 * 50_000, "{report:?}");
}

#[test]
fn a_message_that_waits_behind_a_late_one_is_late_as_well() {
    // The only client; its message number 2 is answered after all others are due.
    let address = server(|stream, buffer| {
        echo(stream, buffer, |_answer, before| {
            if before == 2 * 64 {
                thread::sleep(Duration::from_millis(100));
            }
        });
    });
    let arguments = "mixed --clients 1 --rate 1000 --streams 0 --millis 20 --warm-up 0";
    let output = load(address, arguments);
    let report: Report = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report.count, 20);
    assert!(report.p50_us >= 80_000.0, "{report:?}");
}

#[test]
fn a_wrong_byte_beside_other_work_is_an_error() {
    let address = server(|stream, buffer| {
        echo(stream, buffer, |answer, before| {
            answer[0] ^= u8::from(before > 64);
        });
    });
    for what in ["--streams 0", "--streams 1 --rate 1"] {
        let arguments = format!("mixed --clients 1 --millis 20 --warm-up 0 {what}");
        assert_fails(address, &arguments, "wrong bytes");
    }
}

#[test]
fn a_server_is_stopped_between_two_mixed_measurements() {
    let mut echo = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = echo.id();
    let state = || {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        text.split(' ').nth(2).unwrap().to_owned()
    };
    let mut load = Command::new(env!("CARGO_BIN_EXE_bench-load"))
        .arg(server(correct_echo).to_string())
        .args(["--pid", &pid.to_string()])
        .args(MIXED.split(' '))
        .arg("--on-request")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut requests = load.stdin.take().unwrap();
    let mut lines = BufReader::new(load.stdout.take().unwrap()).lines();
    writeln!(requests).unwrap();
    let line = lines.next().unwrap().unwrap();
    assert!(line.contains("streamed"), "{line}");
    // The stop follows the report, so this waits for it.
    while state() != "T" {
        thread::yield_now();
    }
    drop(requests);
    assert!(load.wait().unwrap().success());
    assert_ne!(state(), "T", "continued at the end");
    drop(echo.stdin.take());
    assert!(echo.wait().unwrap().success());
}

/// Starts a server that answers datagrams with what `change` makes of each, its number given.
fn udp_server(change: fn(&mut Vec<u8>, usize)) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback works");
    let address = socket.local_addr().expect("loopback works");
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        for number in 0.. {
            let (length, peer) = socket.recv_from(&mut buffer).expect("loopback works");
            let mut answer = buffer[..length].to_vec();
            change(&mut answer, number);
            // Fails when the load has ended because of an earlier answer.
            socket.send_to(&answer, peer).ok();
        }
    });
    address
}

#[test]
fn datagrams_are_counted_one_by_one_and_in_segments() {
    let address = udp_server(|_answer, _number| {});
    for arguments in [
        "udp --clients 3 --messages 300",
        "udp --clients 2 --size 1200 --window 32 --messages 320",
        "udp --clients 2 --size 1200 --window 32 --segments --messages 320",
        "udp --clients 1 --window 32 --segments --messages 70",
    ] {
        let output = load(address, arguments);
        assert!(output.status.success(), "{arguments}: {output:?}");
        let report: Report = serde_json::from_slice(&output.stdout).unwrap();
        let count = arguments.rsplit(' ').next().unwrap();
        assert_eq!(report.count.to_string(), count, "{arguments}");
    }
    let arguments = "udp --clients 2 --window 8 --segments --messages 50";
    let reports = three_reports(address, arguments);
    assert!(reports.iter().all(|report| report.count == 50));
}

#[test]
fn a_wrong_byte_or_size_of_a_datagram_is_an_error() {
    for segments in ["", " --segments"] {
        let arguments = format!("udp --clients 1 --window 4{segments} --messages 40");
        let wrong = udp_server(|answer, number| answer[63] ^= u8::from(number == 20));
        assert_fails(wrong, &arguments, "wrong bytes");
        let short = udp_server(|answer, number| answer.truncate(64 - usize::from(number == 20)));
        assert_fails(short, &arguments, "another size");
    }
    let address = udp_server(|_answer, _number| {});
    let arguments = "udp --size 1200 --window 64 --segments --messages 64";
    assert_fails(address, arguments, "at most 65507 bytes");
}

/// Starts a relay that connects every two connections to each other, and passes bytes from the first to
/// the second.
fn relay(change: fn(&mut Vec<u8>, usize)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback works");
    let address = listener.local_addr().expect("loopback works");
    thread::spawn(move || {
        loop {
            let (mut from, _) = listener.accept().expect("loopback works");
            let (mut to, _) = listener.accept().expect("loopback works");
            thread::spawn(move || {
                let (mut buffer, mut before) = (vec![0; 4096], 0);
                while let Ok(length @ 1..) = from.read(&mut buffer) {
                    let mut bytes = buffer[..length].to_vec();
                    change(&mut bytes, before);
                    before += length;
                    if to.write_all(&bytes).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn pieces_through_a_relay_are_counted() {
    let address = relay(|_bytes, _before| {});
    for arguments in [
        "relay --clients 3 --size 100 --messages 50",
        "relay --size 100000 --window 4 --messages 50",
    ] {
        let output = load(address, arguments);
        let text = String::from_utf8_lossy(&output.stdout);
        let report: Report = serde_json::from_str(&text).expect("a report");
        assert_eq!(report.count, 50, "{arguments}");
    }
}

#[test]
fn a_wrong_byte_of_a_relay_is_an_error() {
    let address = relay(|bytes, before| {
        if (before..before + bytes.len()).contains(&70_000) {
            bytes[70_000 - before] ^= 1;
        }
    });
    let arguments = "relay --size 1000 --window 8 --messages 200";
    assert_fails(address, arguments, "passed wrong bytes on");
}
