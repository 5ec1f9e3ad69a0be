//! The graceful shutdown of one thread. Bytes that were sent before it are echoed, unless the client
//! is slower than the limits below.
//!
//! Run by [`crate::workers`] on every thread, after SIGINT or SIGTERM:
//!
//! 1. `serve` accepts the clients in the listening queues and closes the listeners. What waits in
//!    the queues of datagram sockets is echoed, then these close.
//! 2. A connection that has been quiet for [`QUIET_PERIOD`] and has nothing unsent is ended: its
//!    receiving side is shut down. The handler then still echoes what the kernel holds, sees the
//!    end of input, and finishes as if the peer had.
//! 3. After [`FORCE_CLOSE_AFTER`], or half of a shorter grace period, busy connections are ended
//!    in the same way. A client that keeps sending is stopped between two messages.
//! 4. When the grace period is over, `serve` aborts the remaining connections and counts them.
//!
//! Connections are not ended at once, because what a client has sent can still be in its own
//! kernel's buffers. The end of input would overtake it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::or;
use tracing::{debug, error};
use wakeful::time::{Instant, sleep, timeout};
use wakeful_net::Connections;

use crate::connection::Connection;
use crate::server::{Served, Server};

/// A connection without a byte in either direction for this long has nothing on its way.
const QUIET_PERIOD: Duration = Duration::from_millis(50);

/// How long connections that keep sending are served.
const FORCE_CLOSE_AFTER: Duration = Duration::from_secs(1);

/// Interval between two looks at the connections.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// Waits for the shutdown, then for the server's tasks. Returns how many connections were aborted.
pub(crate) async fn run_until_shutdown(server: Server) -> usize {
    let Served { state, connections } = server.served;
    state.shutdown.cancelled().await;
    // `timeout` also handles a grace period of a thousand years, which a sum of instants cannot.
    let udp_ended = timeout(state.grace, async {
        for task in server.udp {
            if let Err(error) = task.await {
                error!(%error, "the task of a datagram socket failed");
            }
        }
    });
    let accepting_ended = async {
        let mut aborted = 0;
        for task in server.accepting {
            match task.await {
                Ok(count) => aborted += count,
                Err(error) => error!(%error, "the task of a listening socket failed"),
            }
        }
        aborted
    };
    let end_connections = async { match end_connections(&connections, state.grace).await {} };
    let aborted = or(accepting_ended, end_connections).await;
    if udp_ended.await.is_err() {
        debug!("datagrams still arrived when the grace period was over");
    }
    aborted
}

/// Ends the input of connections, first of the quiet ones (step 2), later of all (step 3).
async fn end_connections(connections: &Connections<Rc<Connection>>, grace: Duration) -> Infallible {
    let force_at = Instant::now() + FORCE_CLOSE_AFTER.min(grace / 2);
    let mut draining = HashMap::new();
    loop {
        let now = Instant::now();
        for (task, connection) in connections.iter() {
            let one = draining
                .entry(task.id())
                .or_insert_with(|| Draining::new(&connection, now));
            if !one.is_ended && !one.keep_open(&connection, now, now >= force_at) {
                one.is_ended = true;
                if let Err(error) = connection.shutdown_read() {
                    debug!(peer = %connection, %error, "ending the input failed: the peer left first");
                }
            }
        }
        sleep(CHECK_INTERVAL).await;
    }
}

/// A connection during the shutdown.
struct Draining {
    /// Whether its input was ended.
    is_ended: bool,
    /// Bytes received and sent at the last change.
    bytes: (u64, u64),
    /// Time of the last change.
    since: Instant,
}

impl Draining {
    fn new(connection: &Rc<Connection>, now: Instant) -> Draining {
        Draining {
            is_ended: false,
            bytes: (connection.received(), connection.sent()),
            since: now,
        }
    }

    /// Returns whether the connection's input stays open for now.
    fn keep_open(&mut self, connection: &Connection, now: Instant, force: bool) -> bool {
        let bytes = (connection.received(), connection.sent());
        if bytes != self.bytes {
            self.bytes = bytes;
            self.since = now;
        }
        let is_quiet = !connection.has_unsent() && now.duration_since(self.since) >= QUIET_PERIOD;
        !is_quiet && !force
    }
}
