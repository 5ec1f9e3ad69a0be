//! The network of a world: sockets by descriptor, and what is in flight between them.
//!
//! `tcp` has the calls of a socket, `arrivals` what arrives at it, `epoll` the events that it causes. With several
//! hosts, `hosts` has what passes between them, `programs` what each of them waits for, and `steps` what happens
//! next. Without hosts, [`Net::deliver`] makes what is due happen, and the simulation moves the time.

mod arrivals;
mod clock;
pub(crate) mod epoll;
pub(crate) mod hosts;
pub(crate) mod programs;
pub(crate) mod steps;
pub(crate) mod tcp;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::os::fd::RawFd;

use wakeful::kernel::Work;

use crate::faults::Faults;
use crate::world::choices::Choices;
use crate::world::events::{Event, Events};
use epoll::Ready;
use hosts::{HostId, Lan};
use tcp::Socket;

/// Number of a socket in this world.
pub(crate) type SocketId = u64;

/// The least time that something is in flight.
const LATENCY_NS: u64 = 20_000;
/// One step of additional time in flight; there are up to 63 of them.
const LATENCY_STEP_NS: u64 = 5_000;
/// The time after which a connection is tried again whose listener had no room: the first one of TCP.
pub(crate) const RETRY_NS: u64 = 1_000_000_000;

/// Something in flight.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// A connection is asked for.
    Syn {
        client: SocketId,
        to: SocketAddr,
        /// How often there was no answer.
        tries: u32,
    },
    /// The client's connection is open.
    Connected {
        client: SocketId,
        server: SocketId,
    },
    /// The last packet of the handshake: the connection enters the queue of the listener.
    Established {
        server: SocketId,
    },
    Bytes {
        to: SocketId,
        bytes: Vec<u8>,
    },
    Fin {
        to: SocketId,
    },
    /// The peer has the FIN of a socket.
    FinTaken {
        of: SocketId,
    },
    Reset {
        to: SocketId,
        errno: i32,
    },
    /// The peer has taken bytes.
    Taken {
        by: SocketId,
        count: usize,
    },
    /// An event after an `EAGAIN` by fault.
    Again {
        socket: SocketId,
    },
    /// A closure of the blocking pool.
    Work {
        host: HostId,
        work: Work,
    },
    /// What is held back for a socket is sent again.
    Resend {
        to: SocketId,
        tries: u32,
    },
    /// An action of the test, by its number.
    Action(u64),
}

pub(crate) struct Net {
    pub(crate) now_ns: u64,
    pub(crate) choices: Choices,
    pub(crate) events: Events,
    pub(crate) faults: Faults,
    pub(crate) sockets: BTreeMap<SocketId, Socket>,
    pub(crate) fds: HashMap<RawFd, SocketId>,
    pub(crate) lan: Lan,
    /// Sockets with a change that no epoll has reported.
    pub(crate) ready: Vec<Ready>,
    in_flight: BTreeMap<(u64, u64), Delivery>,
    /// When the last delivery for a socket comes: nothing overtakes on a connection.
    last: BTreeMap<SocketId, u64>,
    next_delivery: u64,
    next_socket: SocketId,
    next_port: u16,
}

impl Net {
    pub(crate) fn new(choices: Choices, events: Events, faults: Faults) -> Self {
        Self {
            now_ns: 0,
            choices,
            events,
            faults,
            sockets: BTreeMap::new(),
            fds: HashMap::new(),
            lan: Lan::default(),
            ready: Vec::new(),
            in_flight: BTreeMap::new(),
            last: BTreeMap::new(),
            next_delivery: 0,
            next_socket: 1,
            next_port: 40_000,
        }
    }

    /// Records an event.
    pub(crate) fn note(&mut self, what: &'static str, socket: SocketId, value: i64) {
        self.events.push(Event {
            at_ns: self.now_ns,
            what,
            socket,
            value,
        });
    }

    pub(crate) fn insert(&mut self, socket: Socket) -> SocketId {
        let id = self.next_socket;
        self.next_socket += 1;
        self.sockets.insert(id, socket);
        self.lan.set_host(id, self.lan.running);
        id
    }

    /// Returns a port that no socket of the simulation is bound to. After all were tried, the next one.
    pub(crate) fn free_port(&mut self) -> u16 {
        for _ in 1_024..=u16::MAX {
            self.next_port = self.next_port.wrapping_add(1).max(1_024);
            let uses = |socket: &Socket| socket.local.is_some_and(|at| at.port() == self.next_port);
            if !self.sockets.values().any(uses) {
                break;
            }
        }
        self.next_port
    }

    /// Lets something happen after a random delay, and after everything else that is in flight to the same
    /// socket.
    pub(crate) fn send(&mut self, to: SocketId, delivery: Delivery) {
        let stream = format!("delay {to}");
        let steps = if self.faults.delays() {
            self.choices.choose(&stream, 64)
        } else {
            0
        };
        let at = self.now_ns + LATENCY_NS + u64::from(steps) * LATENCY_STEP_NS;
        let last = self.last.entry(to).or_default();
        *last = at.max(*last);
        let at = *last;
        self.at(at, delivery);
    }

    /// Lets something happen at a time.
    pub(crate) fn at(&mut self, at_ns: u64, delivery: Delivery) {
        self.next_delivery += 1;
        self.in_flight.insert((at_ns, self.next_delivery), delivery);
    }

    /// Returns when the next thing happens.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.in_flight.first_key_value().map(|((at, _), _)| *at)
    }

    /// Makes everything happen that is due. Returns the closures that are due, which the caller runs
    /// without a lock.
    pub(crate) fn deliver(&mut self) -> Vec<Work> {
        let mut work = Vec::new();
        while let Some(entry) = self.in_flight.first_entry() {
            if entry.key().0 > self.now_ns {
                break;
            }
            match entry.remove() {
                Delivery::Work { work: closure, .. } => work.push(closure),
                delivery => self.arrive(delivery),
            }
        }
        work
    }
}
