//! What is no part of the simulation: descriptors that it has not made, and other threads. They are refused, or allowed
//! by [`Options::allow_outside`](crate::Options).
//!
//! Calls on such descriptors are made, and they are in the real epoll of their runtime. While one of them is there,
//! time passes no faster than that of the machine, because nothing says when its next event comes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wakeful::dump::Dump;
use wakeful::kernel::Verdict;

use super::World;
use super::ends::Outside;
use crate::net::epoll::Watch;

/// The real descriptors of a world that allows them.
#[derive(Debug, Default)]
pub(crate) struct Real {
    epolls: Mutex<BTreeMap<RawFd, Epoll>>,
    /// Whether there was one.
    was_used: AtomicBool,
}

/// The epoll of a runtime.
#[derive(Debug)]
struct Epoll {
    /// The token of the runtime's own eventfd, which it watches first.
    first: u64,
    /// What else it watches.
    fds: BTreeSet<RawFd>,
}

impl Real {
    fn epolls(&self) -> MutexGuard<'_, BTreeMap<RawFd, Epoll>> {
        // Nothing under this lock panics.
        self.epolls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a call on such a descriptor is made.
    pub(crate) fn note(&self) {
        self.was_used.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_noted(&self) -> bool {
        self.was_used.load(Ordering::Relaxed)
    }

    /// A descriptor is added to an epoll.
    pub(crate) fn watch(&self, watch: &Watch) {
        let mut epolls = self.epolls();
        let epoll = epolls.entry(watch.epoll).or_insert_with(|| Epoll {
            first: watch.token,
            fds: BTreeSet::new(),
        });
        if epoll.first == watch.token {
            // A new epoll, perhaps with the number of one that is closed.
            epoll.fds.clear();
        } else {
            epoll.fds.insert(watch.fd);
            self.note();
        }
    }

    /// A descriptor is removed from an epoll.
    pub(crate) fn unwatch(&self, epoll: RawFd, fd: RawFd) {
        if let Some(epoll) = self.epolls().get_mut(&epoll) {
            epoll.fds.remove(&fd);
        }
    }

    /// Returns whether an epoll has such a descriptor.
    pub(crate) fn is_watched(&self, epoll: RawFd) -> bool {
        let epolls = self.epolls();
        epolls
            .get(&epoll)
            .is_some_and(|epoll| !epoll.fds.is_empty())
    }
}

impl World {
    /// Lets other threads take part.
    pub(crate) fn allow_threads(&mut self) {
        self.outside = Outside::allowed();
    }

    /// Lets other threads take part, and real descriptors.
    pub(crate) fn allow_outside(&mut self) {
        self.allow_threads();
        self.real = Some(Real::default());
    }

    /// Returns whether a thread or a descriptor took part that is no part of the simulation.
    pub(crate) fn is_reached_from_outside(&self) -> bool {
        self.outside().is_noted() || self.real.as_ref().is_some_and(Real::is_noted)
    }

    /// Returns the message for a run in which another thread took part, if none may.
    pub(crate) fn outside_text(&self, dump: impl FnOnce() -> Dump) -> Option<String> {
        self.outside().text(|| Some(dump()))
    }

    /// Answers a call on a socket that is not of this world.
    pub(super) fn call_outside<T>(&self, what: &str) -> Verdict<T> {
        match &self.real {
            Some(real) => {
                real.note();
                Verdict::Real
            }
            None => outside(what),
        }
    }

    pub(super) fn outside(&self) -> &Outside {
        self.gate
            .as_ref()
            .map_or(&self.outside, |gate| &gate.outside)
    }
}

/// Refuses a socket that is not of this world.
fn outside<T>(what: &str) -> Verdict<T> {
    let message = format!(
        "{what}: the simulated world has sockets of TCP, UDP and Unix only, and none of std, unless \
         `Options::allow_outside` is set"
    );
    Verdict::Is(Err(io::Error::new(ErrorKind::Unsupported, message)))
}
