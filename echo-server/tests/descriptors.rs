//! When descriptors run out: no client is dropped, the server does not spin, and waiting clients are
//! served later.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use support::*;

/// Connects 200 clients to a server with 64 descriptors. Accepted clients are served. The others wait
/// without CPU time and are accepted as soon as a connection closes.
fn two_hundred_clients(arguments: &[&str]) -> Server {
    let mut server = Server::start_with_descriptors(64, arguments, 0);
    let pid = server.pid();
    let mut clients: Vec<TcpStream> = (0..200).map(|_| server.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client
            .write_all(format!("client {number}").as_bytes())
            .unwrap();
    }
    // The first clients are accepted first.
    assert_receives(&mut clients[0], b"client 0");
    assert_echo(&mut clients[0], b"served meanwhile");

    let share = cpu_share(pid, Duration::from_secs(1));
    assert!(share < 0.30, "the server spins: {share:.2} of a core");
    println!("CPU share with 200 clients and 64 descriptors: {share:.3}");
    assert_echo(&mut clients[0], b"still served");

    // Each closed connection makes room for a waiting client; no new client wakes the server.
    for (number, mut client) in clients.into_iter().enumerate() {
        if number > 0 {
            assert_receives(&mut client, format!("client {number}").as_bytes());
        }
        drop(client);
    }
    assert!(server.is_alive());
    server.assert_serves();
    server
}

#[test]
fn with_64_descriptors_200_clients_are_served_in_turn() {
    let mut server = two_hundred_clients(&[]);
    server.wait_for_log("descriptor_limit=64");
    assert!(
        server.log_lines("accept failed").is_empty(),
        "the server exceeded its limit"
    );
    server.assert_ends_well();
}

#[test]
fn accepting_pauses_when_descriptors_run_out_and_resumes_by_itself() {
    // More connections than descriptors are allowed, so that accept4(2) itself fails.
    let mut server = two_hundred_clients(&["--max-connections", "1000"]);
    let lines = server.log_lines("accept failed");
    assert_eq!(lines.len(), 1, "one line per incident: {lines:?}");
    assert!(lines[0].contains("Too many open files"), "{lines:?}");
    server.assert_ends_well();
}

#[test]
fn beyond_the_connection_limit_clients_wait_in_the_queue() {
    let server = Server::start(&["--max-connections", "2"]);
    let (mut one, mut two) = (server.connect(), server.connect());
    assert_echo(&mut one, b"1");
    assert_echo(&mut two, b"2");
    let mut three = server.connect(); // in the listening queue
    three.write_all(b"3").unwrap();
    three
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    assert!(
        std::io::Read::read(&mut three, &mut [0]).is_err(),
        "the limit is reached"
    );
    three.set_read_timeout(Some(DEADLINE)).unwrap();
    drop(one);
    assert_receives(&mut three, b"3");
    assert_echo(&mut two, b"2");
}

#[test]
fn the_connection_limit_is_shared_by_all_addresses() {
    let arguments = ["127.0.0.1:0", "127.0.0.1:0", "--max-connections", "1"];
    let server = Server::start_on(&arguments, 2);
    for place in [0, 1, 1, 0, 0] {
        let mut first = connect_to(server.address_of(place));
        assert_echo(&mut first, b"in");
        let mut waiting: Vec<_> = [0, 1]
            .map(|place| connect_to(server.address_of(place)))
            .into();
        for client in &mut waiting {
            client.write_all(b"later").unwrap();
        }
        assert_echo(&mut first, b"still in");
        drop(first);
        // One at a time, in either order.
        let (a, b) = (waiting.remove(0), waiting.remove(0));
        std::thread::scope(|scope| {
            for mut client in [a, b] {
                scope.spawn(move || assert_receives(&mut client, b"later"));
            }
        });
    }
}

#[test]
fn the_soft_descriptor_limit_is_raised_to_the_hard_limit_and_logged() {
    let mut command = std::process::Command::new("sh");
    command
        .arg("-c")
        .arg("ulimit -Sn 100; ulimit -Hn 4000; exec \"$0\" \"$@\"");
    command.arg(PROGRAM).arg("127.0.0.1:0");
    let server = Server::launch(command, 1);
    server.wait_for_log("descriptor_limit=4000 raised_from=100");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("4000"), "{line}");
}
