//! Tests of the protocol, the same for every model, in two groups.
//!
//! | | `blocking` | `busy-wait` | `threads` | `event-loop` level | edge | `async` | `completion` |
//! |---|---|---|---|---|---|---|---|
//! | one client ([`every_model`]) | yes | yes | yes | yes | yes | yes | yes |
//! | several clients ([`concurrent_models`]) | no | no | yes | yes | yes | yes | yes |
//!
//! `one_at_a_time.rs` tests how the first two models block further clients.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::thread;

use flavors::protocol::{FOOTER, Message};
use support::*;

// ---- one client
// ------------------------------------------------------------------------------------

#[test]
fn a_get_returns_the_value_of_the_put() {
    every_model(|model| {
        let server = model.start();
        let mut client = server.connect();
        client.put("DiskType", "NVMe SSD");
        assert_eq!(client.get("DiskType").as_deref(), Some("NVMe SSD"));
    });
}

#[test]
fn answers_match_the_golden_bytes() {
    every_model(|model| {
        let server = model.start();
        let mut client = server.connect();
        client.send(b"\x1b\0\0\0\x0a\x08DiskType\x12\x08NVMe SSD\x18\x03@EOF@");
        client.assert_receives(b"\x07\0\0\0\x18\x03@EOF@");
        client.send(b"\x11\0\0\0\x0a\x08DiskType\x18\x01@EOF@");
        client.assert_receives(b"\x1b\0\0\0\x0a\x08DiskType\x12\x08NVMe SSD\x18\x02@EOF@");
        client.send(b"\x0d\0\0\0\x0a\x04nope\x18\x01@EOF@");
        client.assert_receives(b"\x0f\0\0\0\x0a\x04nope\x18\x02\x20\x01@EOF@");
    });
}

#[test]
fn a_second_put_replaces_the_value() {
    every_model(|model| {
        let server = model.start();
        let mut client = server.connect();
        client.put("k", "one");
        client.put("k", "two");
        assert_eq!(client.get("k").as_deref(), Some("two"));
    });
}

#[test]
fn a_get_of_an_unknown_key_is_a_miss() {
    every_model(|model| {
        let server = model.start();
        let mut client = server.connect();
        assert_eq!(client.get("nope"), None);
        client.put("yes", "");
        assert_eq!(client.get("nope"), None);
    });
}

#[test]
fn empty_keys_and_values_are_valid() {
    every_model(|model| {
        let server = model.start();
        let mut client = server.connect();
        assert_eq!(client.get(""), None);
        client.put("", "value of the empty key");
        assert_eq!(client.get("").as_deref(), Some("value of the empty key"));
        client.put("empty", "");
        assert_eq!(client.get("empty").as_deref(), Some(""));
    });
}

#[test]
fn a_value_of_a_mebibyte_is_returned_in_full() {
    every_model(|model| {
        let server = model.start();
        let mut client = server.connect();
        let value = text(1 << 20);
        client.put("large", &value);
        assert!(client.get("large") == Some(value), "wrong value");
        client.put("small", "after it");
        assert_eq!(client.get("small").as_deref(), Some("after it"));
    });
}

#[test]
fn a_frame_can_be_split_at_every_byte() {
    every_model(|model| {
        let server = model.start();
        let mut client = server.connect();
        let put = Message::put("split", "in two").to_frame();
        for split in 1..put.len() {
            // TCP_NODELAY sends each part at once, but both can arrive together. The answer to the
            // first request proves that the first part was read alone.
            let mut first = Message::get("other").to_frame();
            first.extend_from_slice(&put[..split]);
            client.send(&first);
            assert_eq!(client.answer().key, "other");
            client.send(&put[split..]);
            client.assert_stored();
        }
        assert_eq!(client.get("split").as_deref(), Some("in two"));
    });
}

#[test]
fn a_frame_can_arrive_byte_by_byte() {
    every_model(|model| {
        let server = model.start();
        let mut client = server.connect();
        let put = Message::put("bytes", "one by one").to_frame();
        for byte in &put {
            client.send(&[*byte]);
            thread::yield_now();
        }
        client.assert_stored();
        assert_eq!(client.get("bytes").as_deref(), Some("one by one"));
    });
}

#[test]
fn several_frames_in_one_segment_are_answered_in_order() {
    every_model(|model| {
        let server = model.start();
        let mut client = server.connect();
        let mut bytes = Vec::new();
        for n in 0..50 {
            bytes.extend(Message::put(format!("k{n}"), format!("v{n}")).to_frame());
            bytes.extend(Message::get(format!("k{n}")).to_frame());
        }
        // Then a part of a frame.
        let last = Message::get("k7").to_frame();
        bytes.extend(&last[..7]);
        client.send(&bytes);
        for n in 0..50 {
            client.assert_stored();
            let answer = client.answer();
            assert_eq!(
                (answer.key, answer.value),
                (format!("k{n}"), format!("v{n}"))
            );
        }
        client.send(&last[7..]);
        assert_eq!(client.answer().value, "v7");
    });
}

#[test]
fn keys_and_values_can_contain_the_footer() {
    every_model(|model| {
        let server = model.start();
        let mut client = server.connect();
        client.put("@EOF@", "a @EOF@ b @EOF@@EOF@");
        let value = client.get("@EOF@");
        assert_eq!(value.as_deref(), Some("a @EOF@ b @EOF@@EOF@"));
    });
}

#[test]
fn pending_answers_arrive_after_a_half_close() {
    every_model(|model| {
        let server = model.start();
        let mut client = server.connect();
        let value = text(300_000);
        client.put("k", &value);
        let gets = 20;
        client.send(&Message::get("k").to_frame().repeat(gets));
        client.finish();
        for _ in 0..gets {
            assert!(client.answer().value == value, "wrong value");
        }
        client.assert_end();
        assert_eq!(server.client_errors(), [""; 0]);
    });
}

#[test]
fn a_client_that_connects_and_disconnects_is_not_logged() {
    every_model(|model| {
        let mut server = model.start();
        let mut client = server.connect();
        client.finish();
        client.assert_end();
        server.assert_serves();
        server.assert_exits_cleanly();
        assert_eq!(server.client_errors(), [""; 0]);
    });
}

/// Malformed input: its name, its bytes, and the reason that is logged.
fn malformed_cases() -> [(&'static str, Vec<u8>, &'static str); 9] {
    let with_footer = |payload: &[u8]| {
        let length = u32::try_from(payload.len() + 5).unwrap();
        [&length.to_le_bytes(), payload, &FOOTER].concat()
    };
    let mut wrong_footer = Message::put("evil", "1").to_frame();
    *wrong_footer.last_mut().unwrap() = b'!';
    [
        (
            "length 4",
            vec![4, 0, 0, 0],
            "length 4 is less than the footer",
        ),
        ("length 0", vec![0; 4], "length 0 is less than the footer"),
        (
            "length over the limit",
            vec![1, 0, 0x40, 0],
            "length 4194305 is over the limit",
        ),
        (
            "length -1",
            vec![0xff; 4],
            "length 4294967295 is over the limit",
        ),
        ("wrong footer", wrong_footer, "footer not found"),
        (
            "kind 9",
            with_footer(b"\x0a\x04evil\x18\x09"),
            "unknown kind 9",
        ),
        ("no kind", with_footer(b""), "unknown kind 0"),
        (
            "field longer than its frame",
            with_footer(b"\x0a\x7fevil"),
            "not protobuf",
        ),
        (
            "not UTF-8",
            with_footer(b"\x0a\x04\xff\x1b[m\x18\x01"),
            "not protobuf",
        ),
    ]
}

#[test]
fn malformed_input_ends_only_its_connection_and_is_logged_in_one_line() {
    let cases = malformed_cases();
    every_model(|model| {
        let mut server = model.start();
        for (number, (name, bytes, reason)) in cases.iter().enumerate() {
            let mut client = server.connect();
            // Earlier requests are answered.
            client.put("good", "value");
            client.send(bytes);
            client.assert_closed();
            wait_until(name, || server.client_errors().len() > number);
            let line = server.client_errors().pop().unwrap();
            assert!(line.starts_with(&format!("{}: ", client.name())), "{line}");
            assert!(line.contains(reason), "{name}: {line}");
        }
        let mut client = server.connect();
        assert_eq!(client.get("good").as_deref(), Some("value"));
        assert_eq!(client.get("evil"), None);
        drop(client);
        server.assert_exits_cleanly();
        assert_eq!(
            server.client_errors().len(),
            cases.len(),
            "{}",
            server.log()
        );
        // The log contains no bytes of a peer.
        let log = server.log();
        assert!(log.chars().all(|c| c == '\n' || !c.is_control()), "{log}");
        assert!(!log.contains("evil"), "{log}");
    });
}

#[test]
fn a_truncated_frame_is_not_executed() {
    every_model(|model| {
        let server = model.start();
        let frame = Message::put("cut", "off").to_frame();
        // Inside each field, and directly before the footer.
        let splits = [1, 3, 4, 9, frame.len() - 5, frame.len() - 1];
        for (number, split) in splits.into_iter().enumerate() {
            let mut client = server.connect();
            client.send(&frame[..split]);
            client.finish();
            client.assert_closed();
            wait_until("a line", || server.client_errors().len() > number);
            let line = server.client_errors().pop().unwrap();
            assert!(
                line.contains(&format!("end of stream after {split} bytes")),
                "{line}"
            );
        }
        assert_eq!(server.connect().get("cut"), None);
    });
}

#[test]
fn a_frame_of_the_maximum_length_is_accepted_and_a_longer_one_is_refused() {
    every_model(|model| {
        let server = model.start_with(&["--max-frame", "100"]);
        let mut client = server.connect();
        // 2 + 1 bytes for the key, 2 for the head of the value, 2 for the kind, 5 for the footer.
        client.put("k", &text(88));
        client.try_send(&Message::put("k", text(89)).to_frame());
        client.assert_closed();
        assert_eq!(server.connect().get("k"), Some(text(88)));
    });
}

// ---- several clients
// -------------------------------------------------------------------------------

#[test]
fn a_client_gets_the_value_that_another_has_put() {
    concurrent_models(|model| {
        let server = model.start();
        let (mut one, mut two) = (server.connect(), server.connect());
        one.put("shared", "by all");
        assert_eq!(two.get("shared").as_deref(), Some("by all"));
        two.put("shared", "again");
        assert_eq!(one.get("shared").as_deref(), Some("again"));
    });
}

#[test]
fn malformed_input_does_not_affect_other_clients() {
    concurrent_models(|model| {
        let server = model.start();
        let mut good = server.connect();
        let mut half = server.connect();
        let frame = Message::put("half", "whole").to_frame();
        half.send(&frame[..9]);
        for bytes in [&[4, 0, 0, 0], &[0xff; 4]] {
            let mut bad = server.connect();
            good.put("before", "it");
            bad.send(bytes);
            bad.assert_closed();
            assert_eq!(good.get("before").as_deref(), Some("it"));
        }
        half.send(&frame[9..]);
        half.assert_stored();
    });
}

#[test]
fn a_client_that_stops_inside_a_frame_does_not_delay_others() {
    concurrent_models(|model| {
        let server = model.start();
        let frame = Message::put("slow", "but sure").to_frame();
        let mut slow: Vec<Client> = (1..frame.len()).map(|_| server.connect()).collect();
        for (split, client) in (1..).zip(&mut slow) {
            client.send(&frame[..split]);
        }
        server.assert_serves();
        for (split, client) in (1..).zip(&mut slow) {
            client.send(&frame[split..]);
            client.assert_stored();
        }
    });
}

#[test]
fn two_hundred_concurrent_clients_get_their_own_answers() {
    concurrent_models(|model| {
        let server = model.start();
        let mut clients: Vec<Client> = (0..200).map(|_| server.connect()).collect();
        for round in 0..5 {
            for (n, client) in clients.iter_mut().enumerate() {
                let (key, value) = (format!("key {n}"), format!("value {n} of round {round}"));
                client.send(&Message::put(&key, value).to_frame());
                client.send(&Message::get(key).to_frame());
            }
            for (n, client) in clients.iter_mut().enumerate() {
                client.assert_stored();
                let answer = client.answer();
                assert_eq!(answer.key, format!("key {n}"));
                assert_eq!(answer.value, format!("value {n} of round {round}"));
            }
        }
        if model.is("threads") {
            assert_eq!(server.status("Threads"), 201);
        } else {
            // Including io_uring, which waits for sockets without worker threads.
            assert_eq!(server.status("Threads"), 1);
        }
    });
}

#[test]
fn a_key_that_many_clients_overwrite_has_one_of_their_values() {
    concurrent_models(|model| {
        let server = model.start();
        let value = |n: usize| char::from(b'a' + n as u8).to_string().repeat(20_000);
        thread::scope(|scope| {
            for n in 0..8 {
                let mut client = server.connect();
                scope.spawn(move || {
                    for _ in 0..10 {
                        client.put("contested", &value(n));
                        let got = client.get("contested").expect("a client has put it");
                        assert!((0..8).any(|m| got == value(m)), "a mixed value");
                    }
                });
            }
        });
    });
}

#[test]
fn two_clients_that_do_not_read_do_not_delay_others() {
    concurrent_models(|model| {
        let server = model.start();
        let mut other = server.connect();
        other.put("large", &text(1 << 20));
        let mut slow: Vec<Client> = (0..2).map(|_| server.connect()).collect();
        for client in &mut slow {
            client.send(&Message::get("large").to_frame().repeat(100));
        }
        for n in 0..50 {
            other.put("k", &n.to_string());
        }
        server.assert_serves();
    });
}

#[test]
fn a_client_over_the_limit_on_threads_waits_until_another_disconnects() {
    concurrent_models(|model| {
        if !model.is("threads") {
            return;
        }
        let server = model.start_with(&["--max-threads", "2"]);
        let (mut one, mut two) = (server.connect(), server.connect());
        one.put("k", "1");
        two.put("k", "2");
        let mut three = server.connect(); // into the queue of the kernel
        three.send(&Message::get("k").to_frame());
        for _ in 0..20 {
            one.put("k", "1");
        }
        three.assert_nothing_received();
        assert_eq!(server.status("Threads"), 3);
        drop(two);
        assert_eq!(three.answer().value, "1");
    });
}
