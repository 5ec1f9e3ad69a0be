//! The two models that serve one client at a time: how that shows, which is their lesson.
//!
//! Both pass everything in `protocol.rs` that one client alone can ask.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use flavors::protocol::Message;
use support::*;

#[test]
fn they_say_so_when_they_start() {
    models_for_one(|model| {
        let server = model.start();
        wait_until("the warning", || {
            server.log().contains("one client at a time")
        });
    });
}

#[test]
fn a_second_client_is_answered_only_when_the_first_has_left() {
    models_for_one(|model| {
        let server = model.start();
        let mut first = server.connect();
        first.put("k", "of the first");
        let descriptors = server.descriptors();
        let mut second = server.connect(); // by the kernel, into the queue
        second.send(&Message::get("k").to_frame());
        // No time is long enough to prove that something never happens; what can be seen is that the
        // server has served the first one many times since, and has not even accepted the second.
        for _ in 0..100 {
            first.put("k", "of the first, again");
        }
        second.assert_silence();
        assert_eq!(server.descriptors(), descriptors);
        drop(first);
        assert_eq!(second.answer().value, "of the first, again");
    });
}

#[test]
fn a_first_client_that_says_nothing_keeps_everybody_out() {
    models_for_one(|model| {
        let server = model.start();
        let silent = server.connect();
        wait_until("the silent one to be accepted", || {
            server.descriptors() > idle_descriptors(model)
        });
        let mut others: Vec<Client> = (0..10).map(|_| server.connect()).collect();
        for other in &mut others {
            other.send(&Message::get("k").to_frame());
        }
        assert_eq!(server.descriptors(), idle_descriptors(model) + 1);
        for other in &others {
            other.assert_silence();
        }
        // One after the other, each waits for those before it.
        drop(silent);
        for mut other in others {
            assert_eq!(other.answer().key, "k");
        }
    });
}

#[test]
fn a_first_client_that_does_not_read_keeps_everybody_out() {
    models_for_one(|model| {
        let server = model.start();
        let mut first = server.connect();
        first.put("large", &text(1 << 20));
        // Far more than the kernel's buffers hold.
        first.send(&Message::get("large").to_frame().repeat(60));
        let mut second = server.connect();
        second.send(&Message::get("k").to_frame());
        for _ in 0..20 {
            assert_eq!(first.answer().value.len(), 1 << 20);
        }
        // 40 answers are owed to the first one still.
        second.assert_silence();
        drop(first);
        assert_eq!(second.answer().key, "k");
    });
}
