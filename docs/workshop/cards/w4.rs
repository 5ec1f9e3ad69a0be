//! W4. "IOCP, kqueue and epoll are the same kind of thing"
//!
//! From: F. Stage: 18.
//! Model: `Ring` writes into its buffers when it is waited for; no call is made.
//! Input: two clients send "aaa" and "bbb"; both reads are started before one has ended.
//! Bug: "bbb" and "bbb"
//! Fix: "aaa" and "bbb"
//!
//! epoll and kqueue say that a read would not block. IOCP and io_uring are given a buffer, and say when it is full.
//! Until then the kernel owns the buffer. One buffer for all clients works with readiness, and mixes their bytes with
//! completion. Each operation owns its buffer.

use std::cell::RefCell;
use std::rc::Rc;

type Buffer = Rc<RefCell<Vec<u8>>>;

mod bug {
    use super::*;

    pub fn read_both(ring: &mut Ring) -> [Buffer; 2] {
        // One buffer serves all clients, as it does with epoll.
        let buffer = Buffer::default();
        ring.start_read("aaa", &buffer);
        ring.start_read("bbb", &buffer);
        ring.wait_for_both();
        [Rc::clone(&buffer), buffer]
    }
}

mod fix {
    use super::*;

    pub fn read_both(ring: &mut Ring) -> [Buffer; 2] {
        let buffers = [Buffer::default(), Buffer::default()];
        ring.start_read("aaa", &buffers[0]);
        ring.start_read("bbb", &buffers[1]);
        ring.wait_for_both();
        buffers
    }
}

/// The part of io_uring that matters here: a buffer is written between the start and the completion.
#[derive(Default)]
pub struct Ring {
    started: Vec<(&'static str, Buffer)>,
}

impl Ring {
    fn start_read(&mut self, sent: &'static str, buffer: &Buffer) {
        self.started.push((sent, Rc::clone(buffer)));
    }

    fn wait_for_both(&mut self) {
        for (sent, buffer) in self.started.drain(..) {
            *buffer.borrow_mut() = sent.into();
        }
    }
}

fn input(read_both: fn(&mut Ring) -> [Buffer; 2]) -> String {
    let read = read_both(&mut Ring::default());
    let [first, second] = read.map(|buffer| String::from_utf8(buffer.borrow().clone()).unwrap());
    format!("{first:?} and {second:?}")
}

fn main() {
    card::run(&|| input(bug::read_both), &|| input(fix::read_both));
}
