//! `--threads`: one runtime per thread, with the same behavior as one thread.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread;

use rustix::process::Signal;
use support::*;

#[test]
fn clients_are_distributed_over_the_threads_and_all_are_served() {
    let mut server = Server::start(&["--threads", "3", "--report", "full"]);
    assert_eq!(status(server.pid(), "Threads"), 3);
    let mut clients: Vec<TcpStream> = (0..60).map(|_| server.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_echo(client, &noise(5000, number as u64));
    }
    server.signal(Signal::USR1);
    wait_until("three reports", || server.log_lines("counters").len() == 3);
    let has_all = |line: &&String| line.contains("connections=60");
    assert_eq!(
        server.log_lines("counters").iter().filter(has_all).count(),
        0,
        "{}",
        server.log()
    );
    // One line per client, per accepting task, and per root future of the two further threads.
    wait_until("every task", || server.log_lines("waits_on=").len() == 65);
    assert_eq!(server.log_lines(" root id=").len(), 2, "{}", server.log());
    server.assert_ends_well();
    for client in &mut clients {
        assert_end(client);
    }
}

#[test]
fn a_unix_socket_is_shared_by_the_threads() {
    let directory = Directory::new("threads");
    let (unix, path) = directory.socket("echo.sock");
    let mut server = Server::start_on(&[&unix, "--threads", "2"], 1);
    for _ in 0..50 {
        let mut client = UnixStream::connect(&path).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        assert_echo(&mut client, b"on either thread");
    }
    server.assert_ends_well();
    assert!(!path.exists());
}

#[test]
fn stats_and_aborted_connections_are_summed_over_all_threads() {
    let arguments = [
        "-q",
        "--threads",
        "2",
        "--stats",
        "100ms",
        "--grace",
        "300ms",
    ];
    let mut server = Server::start(&arguments);
    let mut clients: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
    thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| fill_connection(client, 256 << 20));
        }
    });
    server.wait_for_log("connections=20");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    assert!(
        server.log().contains("count=20 grace_ms=300"),
        "{}",
        server.log()
    );
}
