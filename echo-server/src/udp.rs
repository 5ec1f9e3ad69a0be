//! The echo of datagrams: one task per UDP socket serves all clients of that socket.
//!
//! Started by [`crate::server`]. There are no connections here: a datagram arrives, goes back to
//! its sender, and nothing is remembered. So there is no limit on clients and no timeout.
//!
//! ```text
//!   +--> wait for a datagram ----> receive, send back, about BATCH times -----+
//!   |                                |                 |                      |
//!   |                                none left         the kernel's buffer    |
//!   +<-------------------------------+                 is full: wait, with    |
//!   +<------ let other tasks run --------------------  this one in hand       |
//!   |                                                                         |
//!   +<------------------------------------------------------------------------+
//! ```
//!
//! Datagrams of one client and one size can arrive together (`UdpSocket::set_gro`). They are answered
//! together, which costs the kernel little more than one (docs/TRIED.md, "datagrams in segments").
//!
//! No error ends the loop. An error of sending concerns that datagram only. An error of receiving
//! can concern an earlier datagram (an ICMP message, reported once) or the machine (no memory). A
//! pause follows, so that a lasting error does not keep the processor busy.
//!
//! The answer has the size of the question, but a sender's address can be forged: on public
//! addresses two echo servers can be made to answer each other. So loopback is the default. A server
//! would answer itself as well, so a datagram whose source is one of its own addresses is dropped.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::or;
use tracing::{debug, trace, warn};
use wakeful::task::{self, yield_now};
use wakeful::time::sleep;
use wakeful_net::UdpSocket;
use wakeful_net::udp::RecvMeta;

use crate::listen::canonical;
use crate::log::escaped;
use crate::state::{State, UdpCounters, add};

/// Number of datagrams after which other tasks run. Those that arrive together are never divided.
const BATCH: usize = 64;

/// Longest datagram over IP, and longest batch, so that none is truncated.
const LONGEST: usize = 65_535;

/// Pause after an error of receiving.
const PAUSE: Duration = Duration::from_millis(10);

/// A datagram socket with its counters.
struct UdpEcho {
    socket: UdpSocket,
    counters: Rc<UdpCounters>,
    /// Addresses of all datagram sockets of the server.
    own: Rc<[SocketAddr]>,
    state: Rc<State>,
}

/// Outcome of a batch.
enum Batch {
    /// Nothing more is there.
    Emptied,
    /// As many as the limit; there can be more.
    Full,
    /// Receiving failed.
    Failed(io::Error),
}

/// Sends every datagram back to its sender, until the shutdown has begun and nothing is left.
/// Drops what comes from one of the addresses in `own`.
pub(crate) async fn echo(
    socket: UdpSocket,
    local_addr: String,
    own: Rc<[SocketAddr]>,
    state: Rc<State>,
) {
    let counters = Rc::new(UdpCounters {
        local_addr,
        received: Cell::new(0),
        answered: Cell::new(0),
    });
    let listed = Rc::clone(&counters);
    state.udp_sockets.borrow_mut().insert(task::id(), listed);
    let udp = UdpEcho {
        socket,
        counters,
        own,
        state,
    };
    udp.run().await;
}

impl UdpEcho {
    async fn run(&self) {
        let local_addr = &self.counters.local_addr;
        let mut buffer = vec![0; LONGEST];
        let mut shutdown = pin!(self.state.shutdown.cancelled());
        loop {
            // Not only waited for, because a socket that is always ready never waits.
            let is_last = self.state.shutdown.is_cancelled();
            if !is_last {
                let cancelled = async {
                    shutdown.as_mut().await;
                    Ok(())
                };
                // The last one polled is what the task list shows: the socket.
                if let Err(error) = or(cancelled, self.socket.readable()).await {
                    debug!(%local_addr, %error, "receiving ends with the runtime");
                    return;
                }
            }
            match self.echo_batch(&mut buffer).await {
                Batch::Emptied if is_last => return,
                Batch::Emptied => {}
                Batch::Full => yield_now().await,
                Batch::Failed(error) => {
                    warn!(%local_addr, %error, "receiving a datagram failed");
                    if is_last {
                        return;
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Answers what is there, until [`BATCH`] datagrams are answered.
    async fn echo_batch(&self, buffer: &mut [u8]) -> Batch {
        let mut datagrams = 0;
        while datagrams < BATCH {
            let meta = match self.socket.try_recv_msg(buffer) {
                Ok(meta) => meta,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Batch::Emptied,
                Err(error) => return Batch::Failed(error),
            };
            let mut count = 0;
            for message in meta.segments(buffer) {
                trace!(peer = %meta.peer, message = %escaped(message), "received");
                self.state.counters.count_message(message);
                count += 1;
            }
            datagrams += count;
            add(&self.counters.received, count as u64);
            if self.is_own(meta.peer) {
                let (peer, local_addr) = (meta.peer, &self.counters.local_addr);
                debug!(%peer, %local_addr, "dropped a datagram from the server's own address");
                continue;
            }
            let (bytes, size) = (&buffer[..meta.len], meta.stride.max(1));
            let (peer, local_ip) = (meta.peer, meta.local_ip);
            match self.socket.try_send_segments(bytes, size, peer, local_ip) {
                Ok(_) => add(&self.counters.answered, count as u64),
                Err(error) => self.answer_after(error, buffer, &meta).await,
            }
        }
        Batch::Full
    }

    /// Answers what could not be sent at once: waits if the kernel had no room, and sends datagrams one
    /// by one if it cannot send them together, or if they are more than one call takes.
    async fn answer_after(&self, mut error: io::Error, buffer: &[u8], meta: &RecvMeta) {
        let (peer, local_ip, local_addr) = (meta.peer, meta.local_ip, &self.counters.local_addr);
        let count = meta.segments(buffer).len();
        if error.kind() == ErrorKind::WouldBlock {
            let (bytes, size) = (&buffer[..meta.len], meta.stride.max(1));
            match self.socket.send_segments(bytes, size, peer, local_ip).await {
                Ok(_) => return add(&self.counters.answered, count as u64),
                Err(later) => error = later,
            }
        }
        // Not warnings, because a client that forges addresses could fill the log with them.
        if count == 1 {
            debug!(%peer, %local_addr, %error, "sending a datagram failed");
            return;
        }
        debug!(%peer, %local_addr, %error, "sending datagrams one by one");
        for message in meta.segments(buffer) {
            match self.socket.send_msg(message, peer, local_ip).await {
                Ok(_) => add(&self.counters.answered, 1),
                Err(error) => debug!(%peer, %local_addr, %error, "sending a datagram failed"),
            }
        }
    }

    /// Returns whether the server receives what is sent to `peer`. Nearly always this is one
    /// comparison, of port numbers.
    fn is_own(&self, peer: SocketAddr) -> bool {
        let same_port = |own: &&SocketAddr| own.port() == peer.port();
        self.own.iter().filter(same_port).any(|own| {
            let peer = canonical(peer);
            own.ip() == peer.ip() || own.ip().is_unspecified() && is_local(peer)
        })
    }
}

/// Returns whether an address belongs to this machine, which is what bind(2) requires. If it fails
/// for another reason, the address counts as local, because an answer could start a loop.
fn is_local(mut address: SocketAddr) -> bool {
    address.set_port(0);
    let bound = StdUdpSocket::bind(address);
    !bound.is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
}
