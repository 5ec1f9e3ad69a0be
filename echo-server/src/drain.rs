//! The graceful end: no byte that a client sent before it is lost.
//!
//! Run by [`crate::team`] on every thread, after SIGINT or SIGTERM:
//!
//! 1. What waits in the listening queues is accepted, then the listeners close. What waits in the
//!    queues of datagram sockets is returned, then those close.
//! 2. A connection that has been [`QUIET`] for a moment, with nothing owed to its peer, ends: its
//!    receiving side is shut down. That is all it takes, because shutdown(2) speaks to the handler
//!    in words it knows already: it still reads and returns what the kernel holds, then sees the
//!    end of input and finishes, as if the peer had said goodbye.
//! 3. After [`LAST_CALL`], or half of a shorter grace, the same is done to the busy ones: a client
//!    that keeps sending has to be stopped somewhere, and this is between two messages.
//! 4. When the grace is over, whatever is left is cut off, and counted.
//!
//! Why wait for quiet instead of ending everybody at once? What a client has sent may still be on
//! its way, in its own kernel's buffers, and the end of input would overtake it.

use std::rc::{Rc, Weak};
use std::time::Duration;

use tracing::debug;
use wakeful::spawn;
use wakeful::task::yield_now;
use wakeful::time::{Instant, timeout};

use crate::connection::Connection;
use crate::server::Server;

/// After so long without a byte in either direction a connection has nothing more on its way.
const QUIET: Duration = Duration::from_millis(50);

/// How long those who keep sending are served on.
const LAST_CALL: Duration = Duration::from_secs(1);

/// How often to look.
const PACE: Duration = Duration::from_millis(10);

/// Ends the server's connections within the grace; returns how many had to be cut off.
pub(crate) async fn drain(server: &Server, grace: Duration) -> usize {
    accept_the_last(server).await;
    server.stop_accepting();
    // `timeout` also copes with a grace of a thousand years, which no sum of instants would.
    let finish = async {
        server.datagrams_done().await;
        finish_connections(server, LAST_CALL.min(grace / 2)).await;
    };
    let in_time = timeout(grace, finish).await;
    server.drained.ring();
    match in_time {
        Ok(()) => 0,
        Err(_elapsed) => server.connections.open(),
    }
}

/// Lets the accepting tasks run while they find clients: those have connected, and perhaps sent
/// something, before the end began.
async fn accept_the_last(server: &Server) {
    // Bounded, because clients may come faster than they can be accepted.
    for _ in 0..64 {
        let before = server.counters.accepted.get();
        // The kernel is asked for news, which wakes those who accept; and a new task has its turn
        // after everybody who is ready by then. (Another look at the kernel would not tell that: it
        // comes after a number of turns, when those who accept may be far back in a long queue.)
        yield_now().await;
        if spawn(async {}).await.is_err() {
            return; // the runtime is about to end
        }
        if server.counters.accepted.get() == before {
            return;
        }
    }
}

/// Steps 2 and 3: returns when no connection is left.
async fn finish_connections(server: &Server, last_call: Duration) {
    let start = Instant::now();
    let mut watched: Vec<Watched> = server.connections.all().iter().map(Watched::new).collect();
    while server.connections.open() > 0 {
        let now = Instant::now();
        let is_last_call = now.duration_since(start) >= last_call;
        watched.retain_mut(|one| one.is_to_stay(now, is_last_call));
        // Whichever comes first is a reason to look again.
        let _whichever = timeout(PACE, server.connections.one_left()).await;
    }
}

/// A connection that has not been told to end yet.
struct Watched {
    connection: Weak<Connection>,
    /// What it had received and sent when somebody last looked and found a change.
    moved: (u64, u64),
    since: Instant,
}

impl Watched {
    fn new(connection: &Rc<Connection>) -> Watched {
        let moved = (connection.received(), connection.sent());
        Watched {
            connection: Rc::downgrade(connection),
            moved,
            since: Instant::now(),
        }
    }

    /// Ends the connection's input if it is time to, and says whether to go on watching it.
    fn is_to_stay(&mut self, now: Instant, is_last_call: bool) -> bool {
        let Some(connection) = self.connection.upgrade() else {
            return false;
        };
        let moved = (connection.received(), connection.sent());
        if moved != self.moved {
            self.moved = moved;
            self.since = now;
        }
        let is_quiet = !connection.owes() && now.duration_since(self.since) >= QUIET;
        if !is_quiet && !is_last_call {
            return true;
        }
        if let Err(error) = connection.end_input() {
            debug!(peer = %connection, %error, "the peer left first");
        }
        false
    }
}
