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

/// The token of the inbox's eventfd.
const UNPARK: u64 = u64::MAX;

pub(crate) struct Reactor {
    epoll: Epoll,
    /// A token is a place in this list; `None` is a vacant place.
    sources: RefCell<Vec<Option<Source>>>,
}

impl Reactor {
    pub(crate) fn new(inbox: &Inbox) -> io::Result<Reactor> {
        let epoll = Epoll::new()?;
        epoll.add(&inbox.eventfd, IN, UNPARK)?;
        Ok(Reactor { epoll, sources: RefCell::default() })
    }

    /// Registers a descriptor and returns its token.
    pub(crate) fn add(&self, fd: &impl AsRawFd) -> io::Result<usize> {
        let mut sources = self.sources.borrow_mut();
        let token = sources.iter().position(Option::is_none).unwrap_or(sources.len());
        self.epoll.add(fd, IN | OUT | RDHUP | ET, token as u64)?;
        if token == sources.len() {
            sources.push(None);
        }
        sources[token] = Some(Source::default());
        Ok(token)
    }

    /// Forgets a descriptor that is about to be closed.
    pub(crate) fn remove(&self, token: usize) {
        let source = self.sources.borrow_mut()[token].take();
        drop(source);
    }

    /// Stores the waker for one direction. The newest one counts: the future can have moved to another
    /// task.
    pub(crate) fn wait_for(&self, token: usize, direction: Direction, waker: &Waker) {
        let waker = waker.clone();
        let mut sources = self.sources.borrow_mut();
        let Some(source) = &mut sources[token] else { return };
        let old = match direction {
            Direction::Read => source.reader.replace(waker),
            Direction::Write => source.writer.replace(waker),
        };
        drop(sources);
        drop(old);
    }

    /// Calls `epoll_wait` once. Returns the wakers of the events.
    pub(crate) fn turn(&self, timeout_ms: i32, inbox: &Inbox) -> io::Result<Vec<Waker>> {
        let mut buffer = [Event::default(); 64];
        let events = self.epoll.wait(&mut buffer, timeout_ms);
        todo!("9.3: as in stage 8; and end the announcement, and clear the eventfd at its event")
    }

    /// Moves the wakers of one event to `wakers`.
    fn collect(&self, event: &Event, wakers: &mut Vec<Waker>) {
        let mut sources = self.sources.borrow_mut();
        let Some(Some(source)) = sources.get_mut(event.token() as usize) else { return };
        if event.is_readable() {
            wakers.extend(source.reader.take());
        }
        if event.is_writable() {
            wakers.extend(source.writer.take());
        }
    }
}
