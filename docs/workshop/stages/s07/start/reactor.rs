//! Turns events of descriptors into wakes.
//!
//! Each descriptor is registered once, edge-triggered. An operation is tried first, and stores a waker
//! after `WouldBlock`. No event is lost in between, because events are collected only in `turn`.

use std::cell::RefCell;
use std::io;
use std::os::fd::AsRawFd;
use std::task::Waker;

use kernel::{ET, Epoll, Event, IN, OUT, RDHUP};

use crate::inbox::Inbox;

#[derive(Clone, Copy)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// The wakers of the tasks that wait for a descriptor.
#[derive(Default)]
struct Source {
    reader: Option<Waker>,
    writer: Option<Waker>,
}

pub(crate) struct Reactor {
    epoll: Epoll,
    /// A token is a place in this list; `None` is a vacant place.
    sources: RefCell<Vec<Option<Source>>>,
}

impl Reactor {
    pub(crate) fn new(_inbox: &Inbox) -> io::Result<Reactor> {
        Ok(Reactor { epoll: Epoll::new()?, sources: RefCell::default() })
    }

    /// Registers a descriptor and returns its token.
    pub(crate) fn add(&self, fd: &impl AsRawFd) -> io::Result<usize> {
        todo!("7.1: find a vacant place, register the descriptor under its number")
    }

    /// Forgets a descriptor that is about to be closed.
    pub(crate) fn remove(&self, token: usize) {
        let source = self.sources.borrow_mut()[token].take();
        drop(source);
    }

    /// Stores the waker for one direction. The newest one counts: the future can have moved to another
    /// task.
    pub(crate) fn wait_for(&self, token: usize, direction: Direction, waker: &Waker) {
        todo!("7.2: store the waker for the direction, and drop the old one after the borrow")
    }

    /// Calls `epoll_wait` once. Returns the wakers of the events.
    pub(crate) fn turn(&self, timeout_ms: i32, _inbox: &Inbox) -> io::Result<Vec<Waker>> {
        let mut buffer = [Event::default(); 64];
        let events = match self.epoll.wait(&mut buffer, timeout_ms) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => &[],
            result => result?,
        };
        let mut wakers = Vec::new();
        for event in events {
            self.collect(event, &mut wakers);
        }
        Ok(wakers)
    }

    /// Moves the wakers of one event to `wakers`.
    fn collect(&self, event: &Event, wakers: &mut Vec<Waker>) {
        todo!("7.3: move the wakers of the event's directions out of its source")
    }
}
