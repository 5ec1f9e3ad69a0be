//! What servers have to bear: resets, signals, shortages, clients that do not read; and that they
//! leave nothing behind and do nothing when there is nothing to do.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use flavors::protocol::Message;
use rustix::process::Signal;
use support::*;

#[test]
fn a_client_that_does_not_read_costs_one_answer_and_gets_them_all() {
    every_model(|model| {
        let server = model.start();
        let value = text(1 << 20);
        let mut slow = server.connect();
        slow.put("large", &value);
        let before = server.resident();
        let gets = 48;
        slow.send(&Message::get("large").to_frame().repeat(gets));
        let mut most = 0;
        for n in 0..gets {
            let answer = slow.answer();
            assert!(answer.value == value, "answer {n} is another");
            most = most.max(server.resident().saturating_sub(before));
        }
        // One answer as a message, as a frame, and what the allocator keeps of those before: far from
        // the 48 MiB that were asked for.
        assert!(most < 12 << 20, "{most} more bytes of memory");
    });
}

#[test]
fn input_that_was_promised_takes_no_memory() {
    models_for_many(|model| {
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
        wait_until("all to be gone", || server.descriptors() == alone);
        server.assert_serves();
        server.assert_ends_well();
    });
}

#[test]
fn a_reset_is_one_line_with_peer_and_reason() {
    every_model(|model| {
        let mut server = model.start();
        let mut client = server.connect();
        client.put("k", "v");
        let name = client.name();
        client.reset();
        wait_until("a line", || !server.complaints().is_empty());
        server.assert_serves();
        server.assert_ends_well();
        let complaints = server.complaints();
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(
            complaints[0].starts_with(&format!("{name}: recv: ")),
            "{complaints:?}"
        );
        assert!(complaints[0].contains("reset"), "{complaints:?}");
    });
}

#[test]
fn a_reset_while_an_answer_is_owed_ends_that_client_only() {
    models_for_many(|model| {
        let server = model.start();
        let mut other = server.connect();
        other.put("large", &text(1 << 20));
        let with_two = server.descriptors();
        for _ in 0..5 {
            let mut slow = server.connect();
            slow.send(&Message::get("large").to_frame().repeat(60));
            // So that it is in the middle of it.
            assert_eq!(slow.answer().key, "large");
            slow.reset();
        }
        other.put("k", "v");
        wait_until("them to be gone", || server.descriptors() == with_two);
    });
}

#[test]
fn an_idle_server_does_nothing() {
    every_model(|model| {
        if model.is("busy-wait") {
            return; // see the next test
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
        // Until it has gone to sleep, as often as it takes.
        wait_until("a tenth of a second without a wake-up", || {
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
fn a_server_that_asks_again_and_again_never_sleeps() {
    models_for_one(|model| {
        if !model.is("busy-wait") {
            return;
        }
        let server = model.start();
        for client in [None, Some(server.connect())] {
            if client.is_some() {
                wait_until("it to be accepted", || {
                    server.descriptors() > idle_descriptors(model)
                });
            }
            // However much of a core others leave to it, it takes all of that and sleeps for none.
            let (ticks, switches) = (server.cpu_ticks(), server.voluntary_switches());
            wait_until("some CPU time", || server.cpu_ticks() >= ticks + 20);
            assert!(server.voluntary_switches() <= switches + 5, "it sleeps");
        }
    });
}

#[test]
fn without_descriptors_clients_wait_and_nothing_spins() {
    models_for_many(|model| {
        let mut server = model.start_with_descriptors(40);
        let mut clients: Vec<Client> = (0..100).map(|_| server.connect()).collect();
        for (n, client) in clients.iter_mut().enumerate() {
            client.send(&Message::put(format!("{n}"), "v").to_frame());
        }
        wait_until("the shortage", || server.log().contains("accept: "));
        clients[0].assert_stored();
        clients[0].put("meanwhile", "served");
        // Twenty attempts per second are far from a spin, which takes every tick.
        let (before, seconds) = (server.cpu_ticks(), 1);
        thread::sleep(Duration::from_secs(seconds));
        let ticks = server.cpu_ticks() - before;
        assert!(ticks < 20, "it spins: {ticks} of {} ticks", seconds * 100);
        // Each that leaves makes room for one that waits.
        for (n, mut client) in clients.into_iter().enumerate() {
            if n > 0 {
                client.assert_stored();
            }
        }
        server.assert_serves();
        let lines = server.log().matches("accept: ").count();
        assert!(lines == 1, "one line per shortage: {}", server.log());
        server.assert_ends_well();
    });
}

#[test]
fn sigterm_ends_a_server_that_is_short_of_descriptors() {
    models_for_many(|model| {
        let mut server = model.start_with_descriptors(40);
        // One that takes the whole grace, so that the next attempt to accept falls into it.
        let mut slow = server.connect();
        slow.put("large", &text(1 << 20));
        slow.send(&Message::get("large").to_frame().repeat(60));
        let clients: Vec<Client> = (0..60).map(|_| server.connect()).collect();
        wait_until("the shortage", || server.log().contains("accept: "));
        server.assert_ends_well();
        drop((slow, clients));
    });
}

#[test]
fn system_calls_that_signals_interrupt_are_made_again() {
    every_model(|model| {
        let mut server = model.start();
        let value = text(1 << 20);
        let enough = AtomicBool::new(false);
        thread::scope(|scope| {
            let (server, enough) = (&server, &enough);
            scope.spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    server.signal(Signal::USR1);
                    thread::sleep(Duration::from_micros(300));
                }
            });
            let mut client = server.connect();
            for _ in 0..5 {
                client.put("large", &value);
                assert!(
                    client.get("large").as_ref() == Some(&value),
                    "another value"
                );
            }
            for n in 0..200 {
                client.put("k", &n.to_string());
            }
            enough.store(true, Ordering::Relaxed);
        });
        server.assert_ends_well();
        assert_eq!(server.complaints(), [""; 0]);
    });
}

#[test]
fn a_server_that_was_stopped_and_continued_goes_on() {
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
        server.assert_ends_well();
        let mut server = model.start();
        server.assert_serves();
        server.assert_ends_well();
    });
}

#[test]
fn sigterm_ends_a_server_with_clients_after_their_answers() {
    every_model(|model| {
        let mut server = model.start();
        let mut client = server.connect();
        // More than the kernel takes while nobody reads.
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
fn sigterm_cuts_off_a_client_that_does_not_read() {
    every_model(|model| {
        let mut server = model.start();
        let mut slow = server.connect();
        slow.put("large", &text(1 << 20));
        slow.send(&Message::get("large").to_frame().repeat(60));
        assert_eq!(slow.answer().key, "large");
        server.assert_ends_well();
    });
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    every_model(|model| {
        let mut server = model.start();
        let mut slow = server.connect();
        slow.put("large", &text(1 << 20));
        slow.send(&Message::get("large").to_frame().repeat(60));
        assert_eq!(slow.answer().key, "large");
        server.signal(Signal::TERM);
        // Two signals that wait to be delivered are one.
        wait_until("the second one to be understood", || {
            if !server.has_ended() {
                server.signal(Signal::TERM);
            }
            server.has_ended()
        });
        let status = server.wait();
        // Or its grace was over first, on a busy machine.
        assert!([Some(143), Some(0)].contains(&status.code()), "{status:?}");
    });
}

#[test]
fn a_kernel_without_io_uring_is_a_reason_to_skip() {
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
