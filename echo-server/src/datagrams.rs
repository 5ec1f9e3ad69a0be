//! The echo of datagrams: one task per UDP socket serves everybody who sends to it.
//!
//! Started by [`crate::server`]. There are no connections here: a datagram comes, goes back to its
//! sender, and nothing is remembered. So there is nothing to limit, and no timeout.
//!
//! ```text
//!   +--> wait for a datagram ----> receive, send back, at most BATCH times ---+
//!   |                                |                 |                      |
//!   |                                none left         the kernel's buffer    |
//!   +<-------------------------------+                 is full: wait, with    |
//!   +<------ let the others run ---------------------  this one in hand       |
//!   |                                                                         |
//!   +<------------------------------------------------------------------------+
//! ```
//!
//! No error ends the loop. One of sending concerns that datagram only. One of receiving may concern
//! a datagram that was sent before (an ICMP message, told once) or the machine (no memory); after it
//! there is a pause, so that one that stays does not keep the processor busy.
//!
//! The answer has the size of the question, but a sender's address can be forged: on a public
//! address two echo servers can be set upon each other. That is why loopback is the default.

use std::cell::Cell;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tracing::{debug, trace, warn};
use wakeful::task::yield_now;
use wakeful::time::sleep;
use wakeful_net::UdpSocket;

use crate::log::escaped;
use crate::race::{Either, race};
use crate::server::Server;

/// How many datagrams are answered before the other tasks have their turn.
const BATCH: usize = 64;

/// The longest that a datagram over IP can be, so that none is cut off.
const LONGEST: usize = 65_535;

/// After an error of receiving.
const PAUSE: Duration = Duration::from_millis(10);

/// A datagram socket and what it has done.
#[derive(Debug)]
pub(crate) struct Datagrams {
    socket: UdpSocket,
    /// Its address.
    name: String,
    /// Datagrams received, and those sent back.
    received: Cell<u64>,
    answered: Cell<u64>,
}

impl Datagrams {
    pub(crate) fn new(socket: UdpSocket, name: String) -> Datagrams {
        let (received, answered) = (Cell::new(0), Cell::new(0));
        Datagrams {
            socket,
            name,
            received,
            answered,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Sends a datagram back. `false` when the kernel cannot take it now.
    fn answer(&self, message: &[u8], peer: SocketAddr) -> bool {
        match self.socket.try_send_to(message, peer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            sent => self.note(sent, peer),
        }
        true
    }

    /// Sends a datagram back when the kernel takes it.
    async fn answer_late(&self, message: &[u8], peer: SocketAddr) {
        let sent = self.socket.send_to(message, peer).await;
        self.note(sent, peer);
    }

    fn note(&self, sent: io::Result<usize>, peer: SocketAddr) {
        match sent {
            Ok(_) => self.answered.set(self.answered.get() + 1),
            // Not a warning: whoever forges addresses could fill the log with it.
            Err(error) => debug!(%peer, via = %self.name, %error, "not answered"),
        }
    }
}

/// For the report.
impl fmt::Display for Datagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (received, answered) = (self.received.get(), self.answered.get());
        write!(
            f,
            "{}: {received} datagrams received, {answered} sent back",
            self.name
        )
    }
}

/// What a batch came to.
enum Batch {
    /// Nothing more is there.
    Emptied,
    /// There may be more.
    Full,
    /// Receiving failed.
    Failed(io::Error),
}

/// Sends every datagram back to its sender, until the server comes to its end and nothing is left.
pub(crate) async fn echo(socket: Rc<Datagrams>, server: Rc<Server>) {
    let mut buffer = vec![0; LONGEST];
    loop {
        // Before the question: a ring that comes between the two is heard.
        let closing = server.closing.next();
        let is_last = server.is_ending();
        if !is_last && let Either::First(Err(error)) = race(socket.socket.readable(), closing).await
        {
            debug!(via = %socket.name, %error, "the runtime is about to end");
            return;
        }
        match echo_batch(&socket, &server, &mut buffer).await {
            Batch::Emptied if is_last => return,
            Batch::Emptied => {}
            Batch::Full => yield_now().await,
            Batch::Failed(error) => {
                warn!(via = %socket.name, %error, "cannot receive");
                if is_last {
                    return;
                }
                sleep(PAUSE).await;
            }
        }
    }
}

/// Answers what is there, a bounded number of datagrams.
async fn echo_batch(socket: &Datagrams, server: &Server, buffer: &mut [u8]) -> Batch {
    for _ in 0..BATCH {
        let (length, peer) = match socket.socket.try_recv_from(buffer) {
            Ok(datagram) => datagram,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Batch::Emptied,
            Err(error) => return Batch::Failed(error),
        };
        let message = &buffer[..length];
        trace!(%peer, message = %escaped(message), "received");
        server.counters.count(message);
        socket.received.set(socket.received.get() + 1);
        if !socket.answer(message, peer) {
            socket.answer_late(message, peer).await;
        }
    }
    Batch::Full
}
