//! Turns events of descriptors into wakes.
//!
//! Each descriptor is registered once, edge-triggered. Its readiness is kept until an operation has disproved
//! it, so an operation that would fail is not tried. Events are collected only in `turn`.

use std::cell::RefCell;
use std::io;
use std::os::fd::AsRawFd;
use std::task::{Poll, Waker};

use kernel::{ET, Epoll, Event, IN, OUT, RDHUP};

use crate::inbox::Inbox;

#[derive(Clone, Copy)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// What is known about one direction of a descriptor.
struct Side {
    /// An operation may succeed: no operation has disproved it since the last event.
    ready: bool,
    /// The peer has ended this direction, or it has failed. No further event will come.
    ended: bool,
    waker: Option<Waker>,
}

impl Side {
    /// Before the first event nothing is known, so the first operation is tried.
    fn new() -> Side {
        Side { ready: true, ended: false, waker: None }
    }
}

struct Source {
    read: Side,
    write: Side,
}

impl Source {
    fn new() -> Source {
        Source { read: Side::new(), write: Side::new() }
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }
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
        sources[token] = Some(Source::new());
        Ok(token)
    }

    /// Forgets a descriptor that is about to be closed.
    pub(crate) fn remove(&self, token: usize) {
        let source = self.sources.borrow_mut()[token].take();
        drop(source);
    }

    /// Returns whether an operation may succeed. If not, stores the waker for the next event.
    pub(crate) fn poll_ready(&self, token: usize, direction: Direction, waker: &Waker) -> Poll<()> {
        let waker = waker.clone();
        let mut sources = self.sources.borrow_mut();
        let Some(source) = &mut sources[token] else { return Poll::Ready(()) };
        let side = source.side(direction);
        if side.ready {
            return Poll::Ready(());
        }
        let old = side.waker.replace(waker);
        drop(sources);
        drop(old);
        Poll::Pending
    }

    /// Notes that an operation would block. After the end of a direction there is no next event, so its
    /// readiness stays.
    pub(crate) fn clear(&self, token: usize, direction: Direction) {
        if let Some(source) = &mut self.sources.borrow_mut()[token] {
            let side = source.side(direction);
            side.ready = side.ended;
        }
    }

    /// Calls `epoll_wait` once. Returns the wakers of the events.
    pub(crate) fn turn(&self, timeout_ms: i32, inbox: &Inbox) -> io::Result<Vec<Waker>> {
        let mut buffer = [Event::default(); 64];
        let events = self.epoll.wait(&mut buffer, timeout_ms);
        // Before the wakers are called: their pushes need no signal.
        inbox.unpark();
        let events = match events {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => &[],
            result => result?,
        };
        let mut wakers = Vec::new();
        for event in events {
            if event.token() == UNPARK {
                inbox.eventfd.clear();
            } else {
                self.collect(event, &mut wakers);
            }
        }
        Ok(wakers)
    }

    /// Notes the readiness of one event, and moves its wakers to `wakers`.
    fn collect(&self, event: &Event, wakers: &mut Vec<Waker>) {
        let mut sources = self.sources.borrow_mut();
        let Some(Some(source)) = sources.get_mut(event.token() as usize) else { return };
        if event.is_readable() {
            source.read.ready = true;
            source.read.ended |= event.is_read_end();
            wakers.extend(source.read.waker.take());
        }
        if event.is_writable() {
            source.write.ready = true;
            source.write.ended |= event.is_write_end();
            wakers.extend(source.write.waker.take());
        }
    }
}
