//! Accepts clients with `wakeful_net::serve`: each becomes a task that runs [`echo`].
//!
//! One task per listening socket, started by [`crate::server`]. `serve` has the limit on
//! connections, the pauses when descriptors run out, and the graceful shutdown. Here is what is
//! this program's own: both kinds of sockets as one [`Listener`], the counters, and the log lines.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tracing::{debug, error, info, warn};
use wakeful_net::{Connections, Listener, serve};

use crate::connection::{AcceptedBy, Connection, ConnectionError, Peer, Stream};
use crate::echo::echo;
use crate::listen::ListeningSocket;
use crate::log::CONNECTION;
use crate::state::{State, increment};

/// Serves the clients of `socket`, which has the address `local_addr`, until the shutdown. Returns
/// how many connections were aborted by it.
pub(crate) async fn accept(
    socket: ListeningSocket,
    local_addr: String,
    state: Rc<State>,
    connections: Connections<Rc<Connection>>,
) -> usize {
    let (shutdown, grace) = (state.shutdown.cancelled(), state.grace);
    let shared = Rc::new(AcceptedBy { local_addr, state });
    let listener = EchoListener {
        socket,
        shared: Rc::clone(&shared),
        is_failing: Rc::default(),
    };
    let on_error = log_accept_errors(&listener, connections.clone());
    // Not an async closure, which would store the connection a second time.
    let server = serve(listener, |connection: Rc<Connection>, ()| async move {
        let outcome = echo(&connection).await;
        log_outcome(&connection, outcome);
    });
    let aborted = server
        .connections_with(connections, |connection, ()| Rc::clone(connection))
        .on_accept_error(on_error)
        .with_graceful_shutdown(shutdown)
        .shutdown_timeout(grace)
        .await;
    aborted.unwrap_or_else(|error| {
        let local_addr = &shared.local_addr;
        error!(%local_addr, %error, "accept failed permanently; the other addresses are served");
        0
    })
}

/// A listening socket that counts and logs the connections it accepts.
struct EchoListener {
    socket: ListeningSocket,
    /// What its connections share.
    shared: Rc<AcceptedBy>,
    /// Whether an error was logged and no connection was accepted since then.
    is_failing: Rc<Cell<bool>>,
}

impl Listener for EchoListener {
    type Stream = Rc<Connection>;
    type Address = ();

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Rc<Connection>, ())>> {
        let (stream, peer) = match &self.socket {
            ListeningSocket::Tcp(listener) => {
                let (stream, peer) = ready!(listener.poll_accept(cx))?;
                // An echo is sent the moment it is ready. Waiting for more to send with it
                // (Nagle's algorithm) would only delay it.
                if let Err(error) = stream.set_nodelay(true) {
                    warn!(%peer, %error, "setting TCP_NODELAY failed");
                }
                (Stream::Tcp(stream), Peer::Tcp(peer))
            }
            ListeningSocket::Unix(listener) => {
                let (stream, peer) = ready!(listener.poll_accept(cx))?;
                (Stream::Unix(stream), Peer::from(peer))
            }
        };
        let AcceptedBy { local_addr, state } = &*self.shared;
        if self.is_failing.take() {
            debug!(%local_addr, "accepting again");
        }
        increment(&state.counters.accepted);
        debug!(target: CONNECTION, %peer, %local_addr, "accepted");
        let connection = Connection::new(stream, peer, Rc::clone(&self.shared));
        Poll::Ready(Ok((Rc::new(connection), ())))
    }
}

/// Returns what logs the errors that make `serve` pause.
fn log_accept_errors(
    listener: &EchoListener,
    connections: Connections<Rc<Connection>>,
) -> impl FnMut(&io::Error) + 'static {
    let shared = Rc::clone(&listener.shared);
    let is_failing = Rc::clone(&listener.is_failing);
    move |error| {
        is_failing.set(true);
        let (local_addr, open) = (&shared.local_addr, connections.len());
        warn!(%local_addr, %error, open, "accept failed; new clients have to wait");
    }
}

/// Logs the outcome of a connection.
fn log_outcome(peer: &Connection, outcome: Result<(), ConnectionError>) {
    let state = peer.state();
    let (local_addr, bytes) = (peer.local_addr(), peer.received());
    match outcome {
        Ok(()) => {
            // This server has ended the input, so the peer can still be sending. Without
            // this it can see a reset instead of the end.
            if state.shutdown.is_cancelled()
                && let Err(error) = peer.shutdown_write()
            {
                debug!(%peer, %error, "ending the output failed: the peer left first");
            }
            info!(target: CONNECTION, %peer, %local_addr, bytes, "closed");
        }
        Err(ConnectionError { operation, error }) => {
            increment(&state.counters.failed);
            if state.failures.admit() {
                warn!(
                    target: CONNECTION,
                    %peer, %local_addr, bytes, %operation, %error, "connection failed"
                );
            }
        }
    }
}
