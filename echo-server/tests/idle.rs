//! An idle server does nothing: no wake-up, no CPU time, no further thread, little memory.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use support::*;

/// Waits until the server has not woken up for 50 ms. Returns its number of wake-ups.
fn settle(pid: i32) -> u64 {
    let mut last = voluntary_switches(pid);
    wait_until("the server to become idle", || {
        thread::sleep(Duration::from_millis(50));
        let now = voluntary_switches(pid);
        let is_idle = now == last;
        last = now;
        is_idle
    });
    last
}

#[test]
fn idle_clients_cause_no_wake_up_and_no_cpu_time() {
    let mut server = Server::start(&[]);
    let mut clients: Vec<TcpStream> = (0..100).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_echo(client, b"before the pause");
    }
    let pid = server.pid();
    let before = (settle(pid), cpu_time(pid));
    thread::sleep(Duration::from_secs(1));
    assert_eq!((voluntary_switches(pid), cpu_time(pid)), before);
    assert_eq!(status(pid, "Threads"), 1);
    assert_echo(&mut clients[50], b"after the pause");
    server.assert_ends_well();
}

/// Returns the polls of tasks and the reported events so far.
fn polls_and_events(server: &Server) -> (u64, u64) {
    let line = server.report_line("runtime tasks=");
    (number_in(&line, "polls"), number_in(&line, "events"))
}

#[test]
fn ten_thousand_idle_connections_are_small_and_cost_an_active_one_nothing() {
    const CLIENTS: usize = 10_000;
    const MESSAGES: u64 = 1000;
    allow_many_descriptors();
    let mut server = Server::start(&[]);
    server.assert_serves();
    let pid = server.pid();
    // Tables and the allocator's own data grow in steps, so the first 1,000 are not measured.
    let mut clients: Vec<TcpStream> = Vec::new();
    let mut resident_at = Vec::new();
    for number in 0..=CLIENTS {
        if number == 1000 || number == CLIENTS {
            resident_at.push(resident(pid));
        }
        let mut client = server.connect();
        assert_echo(&mut client, b"one message");
        clients.push(client);
    }
    let each = (resident_at[1] - resident_at[0]) / (CLIENTS as u64 - 1000);
    println!("an idle connection holds {each} bytes of resident memory");
    assert!(each < 1024, "{each} bytes");
    let before = (settle(pid), cpu_time(pid));
    thread::sleep(Duration::from_millis(500));
    assert_eq!((voluntary_switches(pid), cpu_time(pid)), before);
    // A message is one event and one poll, as it is without the idle connections.
    let (polls, events) = polls_and_events(&server);
    for _ in 0..MESSAGES {
        assert_echo(&mut clients[CLIENTS / 2], b"active");
    }
    let (polls_after, events_after) = polls_and_events(&server);
    // The reports themselves are a few.
    let (polls, events) = (polls_after - polls, events_after - events);
    assert!((MESSAGES..MESSAGES + 10).contains(&polls), "{polls} polls");
    assert!(
        (MESSAGES..MESSAGES + 10).contains(&events),
        "{events} events"
    );
    // The idle ones are served as ever.
    for client in &mut clients {
        assert_echo(client, b"another message");
    }
    server.assert_ends_well();
}
