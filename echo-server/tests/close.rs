//! How connections end: orderly, with a reset, in the middle of a message. Nothing of them is left.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use support::*;

#[test]
fn a_closed_connection_is_one_info_line_with_peer_address_and_bytes() {
    let server = Server::start(&["-v"]);
    let before = descriptors(server.pid());
    let mut client = server.connect();
    let peer = client.local_addr().unwrap();
    assert_echo(&mut client, b"Test");
    drop(client);
    server.wait_for_log("closed");
    let mut lines = server.log_lines(&peer.to_string());
    lines.retain(|line| !line.contains("DEBUG accepted"));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("INFO") && lines[0].contains("bytes=4"),
        "{lines:?}"
    );
    assert!(
        lines[0].contains(&server.names[0]),
        "the local address is missing: {lines:?}"
    );
    wait_until("the descriptor to be closed", || {
        descriptors(server.pid()) == before
    });
    assert!(server.log_lines("WARN").is_empty(), "{}", server.log());
}

#[test]
fn a_reset_is_one_warning_with_peer_bytes_and_error() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let peer = client.local_addr().unwrap();
    assert_echo(&mut client, b"Test");
    reset(client);
    server.wait_for_log("reset");
    server.assert_serves();
    let lines = server.log_lines(&peer.to_string());
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("WARN") && lines[0].contains("bytes=4"),
        "{lines:?}"
    );
    assert!(lines[0].contains("reset by peer"), "{lines:?}");
}

/// Makes `count` connections that end with a reset.
fn make_resets(server: &Server, count: usize) {
    for _ in 0..count {
        let mut client = server.connect();
        assert_echo(&mut client, b"x");
        reset(client);
    }
}

/// Returns the number of failed connections that the log has one by one, and as numbers.
fn failures_in(server: &Server) -> (usize, usize) {
    let lines = server.log_lines("further connections failed");
    let numbers = lines
        .iter()
        .map(|line| line.rsplit_once("count=").unwrap().1);
    let left_out = numbers.map(|number| number.parse::<usize>().unwrap()).sum();
    (server.log_lines("WARN connection failed").len(), left_out)
}

#[test]
fn of_300_resets_at_once_10_are_logged_one_by_one_and_the_others_as_a_number() {
    for threads in ["1", "2"] {
        let mut server = Server::start(&["--threads", threads]);
        make_resets(&server, 300);
        // While the server runs: a line per second has the number of those before it.
        wait_until("all resets in the log", || {
            let (one_by_one, left_out) = failures_in(&server);
            one_by_one + left_out == 300
        });
        let (one_by_one, _) = failures_in(&server);
        // More than 10 only if the resets took seconds.
        assert!((10..60).contains(&one_by_one), "{}", server.log());
        server.assert_ends_well();
        let (one_by_one, left_out) = failures_in(&server);
        assert_eq!(one_by_one + left_out, 300, "{}", server.log());
    }
}

#[test]
fn quiet_counts_resets_and_logs_their_number_at_the_end() {
    for signals in [&[Signal::TERM][..], &[Signal::TERM, Signal::TERM]] {
        let mut server = Server::start(&["-q", "--grace", "1h", "--threads", "2"]);
        make_resets(&server, 100);
        server.assert_serves();
        assert_eq!(server.log(), "");
        let mut stuck = server.connect();
        if signals.len() > 1 {
            fill_connection(&mut stuck, 256 << 20);
        } else {
            drop(stuck);
        }
        let address = server.address();
        for signal in signals {
            server.signal(*signal);
            wait_until("the listener to close", || {
                TcpStream::connect(address).is_err()
            });
        }
        server.wait();
        assert_eq!(failures_in(&server), (0, 100), "{}", server.log());
        assert_eq!(server.log_lines("further connections failed").len(), 1);
    }
}

#[test]
fn verbose_logs_every_reset_and_the_default_no_orderly_end() {
    let server = Server::start(&["-v"]);
    make_resets(&server, 50);
    wait_until("all resets in the log", || failures_in(&server) == (50, 0));

    let mut server = Server::start(&[]);
    for _ in 0..50 {
        server.assert_serves();
    }
    server.assert_ends_well();
    assert!(!server.log().contains("closed"), "{}", server.log());
}

#[test]
fn clients_that_close_without_reading_do_not_affect_others() {
    let mut server = Server::start(&[]);
    for round in 0..100 {
        let mut client = server.connect();
        client.write_all(&noise(1000 * round, 1)).unwrap();
        drop(client); // unread echoes make the kernel answer with a reset
    }
    server.assert_serves();
    server.assert_ends_well();
}

#[test]
fn no_descriptor_leaks_after_1000_clients_that_close_in_every_way() {
    allow_many_descriptors();
    let mut server = Server::start(&["-q"]);
    let pid = server.pid();
    let before = descriptors(pid);
    for batch in 0..10 {
        let clients: Vec<TcpStream> = (0..100).map(|_| server.connect()).collect();
        for (number, mut client) in clients.into_iter().enumerate() {
            match (batch + number) % 5 {
                0 => drop(client),
                1 => reset(client),
                2 => {
                    assert_echo(&mut client, b"then an orderly end");
                    client.shutdown(Shutdown::Write).unwrap();
                    assert_end(&mut client);
                }
                3 => {
                    client.write_all(&noise(100_000, 5)).unwrap();
                    reset(client); // during the echo
                }
                _ => {
                    client.write_all(b"unread").unwrap();
                    drop(client);
                }
            }
        }
    }
    wait_until("every descriptor to be closed", || {
        descriptors(pid) == before
    });
    server.assert_ends_well();
}

#[test]
fn unix_clients_that_close_with_unread_data_do_not_affect_others() {
    let directory = Directory::new("vanish");
    let (unix, path) = directory.socket("echo.sock");
    let mut server = Server::start_on(&[&unix], 1);
    for _ in 0..50 {
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(&noise(50_000, 5)).unwrap();
        drop(client);
    }
    let mut client = UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_echo(&mut client, b"still there?");
    server.assert_ends_well();
}

#[test]
fn idle_timeout_closes_idle_connections_only() {
    let server = Server::start(&["--idle-timeout", "300ms"]);
    let mut idle = server.connect();
    let mut busy = server.connect();
    // Busy for longer than the timeout: until the idle connection was closed.
    idle.set_nonblocking(true).unwrap();
    wait_until("the idle connection to be closed", || {
        assert_echo(&mut busy, b"busy");
        matches!(idle.read(&mut [0]), Ok(0))
    });
    assert_echo(&mut busy, b"still served");
    server.wait_for_log("idle timeout");
    let lines = server.log_lines(&idle.local_addr().unwrap().to_string());
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("idle timeout"), "{lines:?}");
}

#[test]
fn both_timeouts_close_the_connection_of_a_peer_that_takes_nothing() {
    for timeout in ["write-timeout", "idle-timeout"] {
        let server = Server::start(&[&format!("--{timeout}"), "300ms"]);
        let mut stuck = server.connect();
        fill_connection(&mut stuck, 256 << 20);
        server.wait_for_log(&timeout.replace('-', " "));
        server.assert_serves();
    }
}

#[test]
fn write_timeout_does_not_close_an_idle_connection() {
    let server = Server::start(&["--write-timeout", "50ms"]);
    let mut client = server.connect();
    assert_echo(&mut client, b"before");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_echo(&mut client, b"after");
}
