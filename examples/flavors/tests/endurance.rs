//! Tests of the servers under resets, signals, shortages and clients that do not read. Also: closed
//! connections leave nothing behind, and an idle server uses no CPU time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use flavors::protocol::Message;
use rustix::process::Signal;
use support::*;

#[test]
fn a_client_that_reads_late_costs_the_memory_of_one_answer_and_gets_all_answers() {
    every_model(|model| {
        let server = model.start();
        let value = text(1 << 20);
        let mut slow = server.connect();
        slow.put("large", &value);
        let before = server.resident();
        let gets = 48;
        slow.send(&Message::get("large").to_frame().repeat(gets));
        let mut max = 0;
        for n in 0..gets {
            let answer = slow.answer();
            assert!(answer.value == value, "answer {n} has a wrong value");
            max = max.max(server.resident().saturating_sub(before));
        }
        // One answer as a message and as a frame, and free memory that the allocator keeps: far
        // less than the 48 MiB that were requested.
        assert!(max < 12 << 20, "{max} more bytes of memory");
    });
}

#[test]
fn a_length_without_its_frame_takes_no_memory() {
    concurrent_models(|model| {
        let server = model.start_with(&["--max-frame", "1073741824"]);
        server.assert_serves();
        let before = server.resident();
        let mut clients: Vec<Client> = (0..50).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send(&[0, 0, 0, 0x40]);
        }
        server.assert_serves();
        let more = server.resident().saturating_sub(before);
        assert!(more < 8 << 20, "{more} more bytes of memory");
    });
}

#[test]
fn two_thousand_connections_leave_no_descriptor_behind() {
    every_model(|model| {
        let mut server = model.start();
        let alone = idle_descriptors(model);
        for n in 0..2_000 {
            let mut client = server.connect();
            match n % 5 {
                0 => {
                    client.put("k", "v");
                }
                1 => client.put("k", "w"),
                2 => client.send(&[9, 0, 0]),
                3 => client.send(&[0; 4]),
                _ => {
                    client.send(&Message::get("k").to_frame());
                    client.reset();
                    continue;
                }
            }
            if n % 5 == 1 {
                client.reset();
            }
        }
        wait_until("the close of all", || server.descriptors() == alone);
        server.assert_serves();
        server.assert_exits_cleanly();
    });
}

#[test]
fn a_reset_is_logged_in_one_line_with_peer_and_reason() {
    every_model(|model| {
        let mut server = model.start();
        let mut client = server.connect();
        client.put("k", "v");
        let name = client.name();
        client.reset();
        wait_until("a line", || !server.client_errors().is_empty());
        server.assert_serves();
        server.assert_exits_cleanly();
        let lines = server.client_errors();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with(&format!("{name}: recv: ")),
            "{lines:?}"
        );
        assert!(lines[0].contains("reset"), "{lines:?}");
    });
}

#[test]
fn a_reset_with_unsent_answers_ends_only_that_client() {
    concurrent_models(|model| {
        let server = model.start();
        let mut other = server.connect();
        other.put("large", &text(1 << 20));
        let with_two = server.descriptors();
        for _ in 0..5 {
            let mut slow = server.connect();
            slow.send(&Message::get("large").to_frame().repeat(60));
            // The server has sent one answer and is sending the next.
            assert_eq!(slow.answer().key, "large");
            slow.reset();
        }
        other.put("k", "v");
        wait_until("their close", || server.descriptors() == with_two);
    });
}

#[test]
fn an_idle_server_does_not_run() {
    every_model(|model| {
        if model.is("busy-wait") {
            return; // tested below
        }
        let server = model.start();
        let mut client = server.connect();
        client.put("k", "v");
        let idle = if model.is("blocking") { 0 } else { 20 };
        let others: Vec<Client> = (0..idle).map(|_| server.connect()).collect();
        wait_until("all to be accepted", || {
            server.descriptors() == idle_descriptors(model) + 1 + others.len()
        });
        assert_eq!(client.get("k").as_deref(), Some("v"));
        // Sampled until the server has stopped running.
        wait_until("100 ms without a wakeup", || {
            let before = server.voluntary_switches();
            thread::sleep(Duration::from_millis(100));
            server.voluntary_switches() == before
        });
        let before = (server.cpu_ticks(), server.voluntary_switches());
        thread::sleep(Duration::from_millis(500));
        assert_eq!((server.cpu_ticks(), server.voluntary_switches()), before);
    });
}

#[test]
fn a_busy_waiting_server_never_sleeps() {
    sequential_models(|model| {
        if !model.is("busy-wait") {
            return;
        }
        let server = model.start();
        for client in [None, Some(server.connect())] {
            if client.is_some() {
                wait_until("the accept", || {
                    server.descriptors() > idle_descriptors(model)
                });
            }
            // It uses all CPU time that other processes leave, and never waits.
            let (ticks, switches) = (server.cpu_ticks(), server.voluntary_switches());
            wait_until("some CPU time", || server.cpu_ticks() >= ticks + 20);
            assert!(
                server.voluntary_switches() <= switches + 5,
                "the server sleeps"
            );
        }
    });
}

#[test]
fn clients_wait_without_a_busy_loop_when_descriptors_run_out() {
    concurrent_models(|model| {
        let mut server = model.start_with_descriptors(40);
        let mut clients: Vec<Client> = (0..100).map(|_| server.connect()).collect();
        for (n, client) in clients.iter_mut().enumerate() {
            client.send(&Message::put(format!("{n}"), "v").to_frame());
        }
        wait_until("the shortage", || server.log().contains("accept: "));
        clients[0].assert_stored();
        clients[0].put("connected", "served");
        // Twenty attempts per second take few ticks; a busy loop would take all of them.
        let (before, seconds) = (server.cpu_ticks(), 1);
        thread::sleep(Duration::from_secs(seconds));
        let ticks = server.cpu_ticks() - before;
        assert!(ticks < 20, "busy loop: {ticks} of {} ticks", seconds * 100);
        // Each closed client frees a descriptor for one that waits.
        for (n, mut client) in clients.into_iter().enumerate() {
            if n > 0 {
                client.assert_stored();
            }
        }
        server.assert_serves();
        let lines = server.log().matches("accept: ").count();
        assert!(lines == 1, "more than one line: {}", server.log());
        server.assert_exits_cleanly();
    });
}

#[test]
fn sigterm_ends_a_server_without_free_descriptors() {
    concurrent_models(|model| {
        let mut server = model.start_with_descriptors(40);
        // A client that takes the whole shutdown timeout, so that an accept is retried during it.
        let mut slow = server.connect();
        slow.put("large", &text(1 << 20));
        slow.send(&Message::get("large").to_frame().repeat(60));
        let clients: Vec<Client> = (0..60).map(|_| server.connect()).collect();
        wait_until("the shortage", || server.log().contains("accept: "));
        server.assert_exits_cleanly();
        drop((slow, clients));
    });
}

#[test]
fn interrupted_system_calls_are_repeated() {
    every_model(|model| {
        let mut server = model.start();
        let value = text(1 << 20);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let (server, done) = (&server, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    server.signal(Signal::USR1);
                    thread::sleep(Duration::from_micros(300));
                }
            });
            let mut client = server.connect();
            for _ in 0..5 {
                client.put("large", &value);
                assert!(client.get("large").as_ref() == Some(&value), "wrong value");
            }
            for n in 0..200 {
                client.put("k", &n.to_string());
            }
            done.store(true, Ordering::Relaxed);
        });
        server.assert_exits_cleanly();
        assert_eq!(server.client_errors(), [""; 0]);
    });
}

#[test]
fn a_stopped_and_continued_server_keeps_serving() {
    every_model(|model| {
        let server = model.start();
        let mut client = server.connect();
        for _ in 0..3 {
            client.put("k", "v");
            server.signal(Signal::STOP);
            server.signal(Signal::CONT);
        }
        assert_eq!(client.get("k").as_deref(), Some("v"));
    });
}

#[test]
fn sigterm_ends_an_idle_server() {
    every_model(|model| {
        let mut server = model.start();
        server.assert_exits_cleanly();
        let mut server = model.start();
        server.assert_serves();
        server.assert_exits_cleanly();
    });
}

#[test]
fn sigterm_ends_a_server_after_its_clients_have_read_their_answers() {
    every_model(|model| {
        let mut server = model.start();
        let mut client = server.connect();
        // More than the kernel buffers for a client that does not read.
        let (value, gets) = (text(1 << 20), 9);
        client.put("k", &value);
        let mut half = None;
        if !(model.is("blocking") || model.is("busy-wait")) {
            let mut other = server.connect();
            other.send(&[9, 0, 0]);
            half = Some(other);
        }
        client.send(&Message::get("k").to_frame().repeat(gets));
        assert!(client.answer().value == value);
        server.signal(Signal::TERM);
        for _ in 1..gets {
            assert!(client.answer().value == value);
        }
        client.assert_end();
        if let Some(mut half) = half {
            half.assert_closed();
        }
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    });
}

#[test]
fn sigterm_closes_a_client_that_does_not_read() {
    every_model(|model| {
        let mut server = model.start();
        let mut slow = server.connect();
        slow.put("large", &text(1 << 20));
        slow.send(&Message::get("large").to_frame().repeat(60));
        assert_eq!(slow.answer().key, "large");
        server.assert_exits_cleanly();
    });
}

#[test]
fn a_second_sigterm_ends_a_server_at_once() {
    every_model(|model| {
        let mut server = model.start();
        let mut slow = server.connect();
        slow.put("large", &text(1 << 20));
        slow.send(&Message::get("large").to_frame().repeat(60));
        assert_eq!(slow.answer().key, "large");
        server.signal(Signal::TERM);
        // Repeated, because two pending signals are delivered as one.
        wait_until("the effect of the second signal", || {
            if !server.has_ended() {
                server.signal(Signal::TERM);
            }
            server.has_ended()
        });
        let status = server.wait();
        // 0 if the shutdown timeout elapsed before the second signal, on a busy machine.
        assert!([Some(143), Some(0)].contains(&status.code()), "{status:?}");
    });
}

#[test]
fn the_completion_model_is_skipped_without_io_uring() {
    if Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        println!("SKIPPED: strace is not installed");
        return;
    }
    for error in ["ENOSYS", "EPERM"] {
        let output = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e"])
            .arg(format!("inject=io_uring_setup:error={error}"))
            .args([
                PROGRAM,
                "serve",
                "--model",
                "completion",
                "--bind",
                "127.0.0.1:0",
            ])
            .output()
            .unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(
            stdout.starts_with("skipped: the kernel refuses io_uring: "),
            "{stdout:?}"
        );
        assert_eq!(output.status.code(), Some(0));
    }
}
