//! B12. A buffer per wait
//!
//! From: K. Stage: 6.
//! Input: a descriptor that is ready in each of 1,000 turns.
//! Bug: 1000 buffers of events
//! Fix: 1 buffer of events
//!
//! The buffer is allocated and freed in each turn, and `epoll_wait` fills it anyway. Allocate it once, before
//! the loop.

use std::cell::Cell;
use std::io;

use kernel::{Epoll, Event, EventFd, IN};

mod bug {
    use super::*;

    pub fn turns(epoll: &Epoll, buffer: &dyn Fn() -> Vec<Event>) -> io::Result<usize> {
        let mut seen = 0;
        while seen < 1_000 {
            let mut events = buffer();
            seen += epoll.wait(&mut events, -1)?.len();
        }
        Ok(seen)
    }
}

mod fix {
    use super::*;

    pub fn turns(epoll: &Epoll, buffer: &dyn Fn() -> Vec<Event>) -> io::Result<usize> {
        let mut seen = 0;
        let mut events = buffer();
        while seen < 1_000 {
            seen += epoll.wait(&mut events, -1)?.len();
        }
        Ok(seen)
    }
}

fn input(turns: fn(&Epoll, &dyn Fn() -> Vec<Event>) -> io::Result<usize>) -> String {
    let (epoll, ready) = (Epoll::new().unwrap(), EventFd::new().unwrap());
    ready.signal();
    epoll.add(&ready, IN, 0).unwrap();
    let count = Cell::new(0);
    let buffer = || {
        count.set(count.get() + 1);
        vec![Event::default(); 128]
    };
    turns(&epoll, &buffer).unwrap();
    format!("{} of events", card::count(count.get(), "buffer"))
}

fn main() {
    card::run(&|| input(bug::turns), &|| input(fix::turns));
}
