//! Tests of the two models that serve one client at a time: how further clients are blocked.
//!
//! Both pass all tests in `protocol.rs` that need only one client.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use flavors::protocol::Message;
use support::*;

#[test]
fn a_warning_is_logged_at_the_start() {
    sequential_models(|model| {
        let server = model.start();
        wait_until("the warning", || {
            server.log().contains("one client at a time")
        });
    });
}

#[test]
fn a_second_client_is_answered_only_after_the_first_has_disconnected() {
    sequential_models(|model| {
        let server = model.start();
        let mut first = server.connect();
        first.put("k", "first");
        let descriptors = server.descriptors();
        let mut second = server.connect(); // into the queue of the kernel
        second.send(&Message::get("k").to_frame());
        // A wait could not prove this. Instead: the server answers the first client many times and
        // does not even accept the second.
        for _ in 0..100 {
            first.put("k", "first again");
        }
        second.assert_nothing_received();
        assert_eq!(server.descriptors(), descriptors);
        drop(first);
        assert_eq!(second.answer().value, "first again");
    });
}

#[test]
fn an_idle_first_client_blocks_all_others() {
    sequential_models(|model| {
        let server = model.start();
        let idle = server.connect();
        wait_until("the accept of the idle client", || {
            server.descriptors() > idle_descriptors(model)
        });
        let mut others: Vec<Client> = (0..10).map(|_| server.connect()).collect();
        for other in &mut others {
            other.send(&Message::get("k").to_frame());
        }
        assert_eq!(server.descriptors(), idle_descriptors(model) + 1);
        for other in &others {
            other.assert_nothing_received();
        }
        // The others are served one after the other.
        drop(idle);
        for mut other in others {
            assert_eq!(other.answer().key, "k");
        }
    });
}

#[test]
fn a_first_client_that_does_not_read_blocks_all_others() {
    sequential_models(|model| {
        let server = model.start();
        let mut first = server.connect();
        first.put("large", &text(1 << 20));
        // Far more than the kernel buffers.
        first.send(&Message::get("large").to_frame().repeat(60));
        let mut second = server.connect();
        second.send(&Message::get("k").to_frame());
        for _ in 0..20 {
            assert_eq!(first.answer().value.len(), 1 << 20);
        }
        // The first client has 40 answers left.
        second.assert_nothing_received();
        drop(first);
        assert_eq!(second.answer().key, "k");
    });
}
