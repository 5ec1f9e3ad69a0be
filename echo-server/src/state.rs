//! What all connections and sockets of one thread share.
//!
//! Created by [`crate::server`], once per thread. It holds no task and starts none, so the handlers
//! and the files that observe them can all use it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use wakeful::{Shutdown, task};

use crate::log::FailureLines;
use crate::timeouts::Timeouts;

/// Settings of a server; the same for every thread.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The most that one read takes.
    pub(crate) buffer_size: usize,
    /// Limit on the open connections of one thread.
    pub(crate) max_connections: usize,
    /// Time limits of a connection.
    pub(crate) timeouts: Timeouts,
    /// Time limit of the graceful shutdown.
    pub(crate) grace: Duration,
    /// The shutdown of the process.
    pub(crate) shutdown: Shutdown,
    /// Limit on the log lines about failed connections.
    pub(crate) failures: Arc<FailureLines>,
}

/// The shared state of one thread.
#[derive(Debug)]
pub(crate) struct State {
    /// The one read buffer; see [`crate::echo`].
    pub(crate) buffer: RefCell<Box<[u8]>>,
    pub(crate) timeouts: Timeouts,
    pub(crate) grace: Duration,
    pub(crate) shutdown: Shutdown,
    pub(crate) failures: Arc<FailureLines>,
    pub(crate) counters: Counters,
    /// The datagram sockets, by the task that serves them.
    pub(crate) udp_sockets: RefCell<HashMap<task::Id, Rc<UdpCounters>>>,
}

impl State {
    pub(crate) fn new(options: &Options) -> Rc<State> {
        Rc::new(State {
            buffer: RefCell::new(vec![0; options.buffer_size].into_boxed_slice()),
            timeouts: options.timeouts,
            grace: options.grace,
            shutdown: options.shutdown.clone(),
            failures: Arc::clone(&options.failures),
            counters: Counters::default(),
            udp_sockets: RefCell::default(),
        })
    }
}

/// Counters for `--stats` and SIGUSR1.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Accepted connections.
    pub(crate) accepted: Cell<u64>,
    /// Connections that ended with an error.
    pub(crate) failed: Cell<u64>,
    /// Reads that returned data.
    pub(crate) messages: Cell<u64>,
    /// Bytes of these messages.
    pub(crate) bytes: Cell<u64>,
}

impl Counters {
    /// Counts something read.
    pub(crate) fn count_message(&self, message: &[u8]) {
        self.messages.set(self.messages.get() + 1);
        self.bytes.set(self.bytes.get() + message.len() as u64);
    }
}

/// Adds one to a counter.
pub(crate) fn increment(counter: &Cell<u64>) {
    add(counter, 1);
}

/// Adds a number to a counter.
pub(crate) fn add(counter: &Cell<u64>, number: u64) {
    counter.set(counter.get() + number);
}

/// Counters of one datagram socket, for SIGUSR1.
#[derive(Debug)]
pub(crate) struct UdpCounters {
    /// Address of the socket.
    pub(crate) local_addr: String,
    pub(crate) received: Cell<u64>,
    pub(crate) answered: Cell<u64>,
}
