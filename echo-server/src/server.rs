//! The server on one runtime: what all its connections share, and how a client becomes a task.
//!
//! Made by [`crate::team`], once per thread. The path of a client: [`crate::accept`] gets it from
//! the kernel and hands it to [`Server::welcome`], which spawns the task that runs
//! [`echo`]; when that ends, [`Server::goodbye`] writes the log line.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use tracing::{debug, info, warn};
use wakeful::task::{self, JoinHandle};

use crate::accept::accept;
use crate::bell::Bell;
use crate::connection::{Connection, Lost};
use crate::connections::Connections;
use crate::datagrams::{self, Datagrams};
use crate::echo::echo;
use crate::listen::{Open, Socket};
use crate::patience::Patience;
use crate::stream::{Peer, Stream};

/// What a server is made from; the same for every thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// The most that one read takes.
    pub(crate) buffer_size: usize,
    /// How many connections one runtime may have open.
    pub(crate) max_connections: usize,
    /// The time limits of a connection.
    pub(crate) patience: Patience,
}

/// The server on one runtime.
#[derive(Debug)]
pub(crate) struct Server {
    /// The one read buffer; see [`crate::echo`].
    pub(crate) buffer: RefCell<Box<[u8]>>,
    pub(crate) patience: Patience,
    pub(crate) connections: Rc<Connections>,
    pub(crate) counters: Counters,
    /// The tasks that accept.
    accepting: RefCell<Vec<JoinHandle<()>>>,
    /// The datagram sockets, and the tasks that serve them.
    datagrams: RefCell<Vec<(Rc<Datagrams>, JoinHandle<()>)>>,
    /// Rings when the end begins.
    pub(crate) closing: Bell,
    /// Set when the end has begun; see [`crate::drain`].
    ending: Cell<bool>,
    /// Rings when the drain is over.
    pub(crate) drained: Bell,
}

/// What the server counts, for `--stats` and SIGUSR1.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Clients welcomed.
    pub(crate) accepted: Cell<u64>,
    /// Connections that an error ended.
    pub(crate) failed: Cell<u64>,
    /// Reads that brought something.
    pub(crate) messages: Cell<u64>,
    /// What they brought.
    pub(crate) bytes: Cell<u64>,
}

impl Counters {
    /// Counts something read.
    pub(crate) fn count(&self, message: &[u8]) {
        self.messages.set(self.messages.get() + 1);
        self.bytes.set(self.bytes.get() + message.len() as u64);
    }
}

impl Server {
    /// Starts to accept clients from the sockets, on the current runtime.
    ///
    /// # Errors
    ///
    /// When a socket cannot be registered.
    pub(crate) fn start(options: Options, sockets: Vec<Socket>) -> io::Result<Rc<Server>> {
        let server = Rc::new(Server {
            buffer: RefCell::new(vec![0; options.buffer_size].into_boxed_slice()),
            patience: options.patience,
            connections: Rc::new(Connections::new(options.max_connections)),
            counters: Counters::default(),
            accepting: RefCell::default(),
            datagrams: RefCell::default(),
            closing: Bell::default(),
            ending: Cell::new(false),
            drained: Bell::default(),
        });
        for socket in sockets {
            let (open, name) = socket.open()?;
            match open {
                Open::Listener(listener) => {
                    let task = wakeful::spawn(accept(listener, Rc::new(name), Rc::clone(&server)));
                    server.accepting.borrow_mut().push(task);
                }
                Open::Datagrams(socket) => {
                    let socket = Rc::new(Datagrams::new(socket, name));
                    let echo = datagrams::echo(Rc::clone(&socket), Rc::clone(&server));
                    let task = wakeful::spawn(echo);
                    server.datagrams.borrow_mut().push((socket, task));
                }
            }
        }
        Ok(server)
    }

    /// Gives a client a task of its own.
    pub(crate) fn welcome(self: &Rc<Server>, stream: Stream, peer: Peer, via: &Rc<String>) {
        self.counters.accepted.set(self.counters.accepted.get() + 1);
        let seat = self
            .connections
            .enter(Connection::new(stream, peer, Rc::clone(via)));
        debug!(peer = %*seat, %via, "accepted");
        let connection = seat.share();
        let server = Rc::clone(self);
        let task = wakeful::spawn(async move {
            let outcome = echo(&seat, &server).await;
            server.goodbye(&seat, outcome);
        });
        connection.set_task(task.id());
    }

    /// Tells how a connection ended.
    fn goodbye(&self, peer: &Connection, outcome: Result<(), Lost>) {
        let (via, bytes) = (peer.via(), peer.received());
        match outcome {
            Ok(()) => {
                if self.ending.get()
                    && let Err(error) = peer.end_output()
                {
                    debug!(%peer, %error, "the peer left first");
                }
                info!(%peer, %via, bytes, "closed");
            }
            Err(Lost { while_doing, error }) => {
                self.counters.failed.set(self.counters.failed.get() + 1);
                warn!(%peer, %via, bytes, while_doing, %error, "connection lost");
            }
        }
    }

    /// Closes the listening sockets: from now on new clients are refused. Those who serve datagrams
    /// are told to come to an end.
    pub(crate) fn stop_accepting(&self) {
        self.ending.set(true);
        for task in self.accepting.take() {
            task.abort();
        }
        self.closing.ring();
    }

    /// Whether the end has begun.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.get()
    }

    /// Waits until those who serve datagrams have ended.
    pub(crate) async fn datagrams_done(&self) {
        for (socket, task) in self.datagrams.take() {
            if let Err(error) = task.await {
                warn!(via = %socket.name(), %error, "the task of a socket failed");
            }
        }
    }

    /// The datagram sockets with the tasks that serve them.
    pub(crate) fn datagrams(&self) -> Vec<(task::Id, Rc<Datagrams>)> {
        let sockets = self.datagrams.borrow();
        let both = |(socket, task): &(Rc<_>, JoinHandle<()>)| (task.id(), Rc::clone(socket));
        sockets.iter().map(both).collect()
    }
}
