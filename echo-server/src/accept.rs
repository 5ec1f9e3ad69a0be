//! Accepts clients, for as long as the server runs and whatever the kernel says.
//!
//! One task per listening socket, started by [`crate::server`]. Accepting never ends by an error:
//!
//! ```text
//!          room?            accept4(2)
//!   +--> wait for a ----> wait for a ----> client ----> a task of its own
//!   |    connection       client              |
//!   |    to leave           |                 |
//!   |                       | error           |
//!   |                       v                 |
//!   |          this client's (ECONNABORTED):  |
//!   +<--------   next, at once                |
//!   |          ours (EMFILE, ENOMEM):         |
//!   +<--------   pause, or until one of       |
//!   |            our connections leaves       |
//!   +<----------------------------------------+
//! ```
//!
//! The pause matters: a listener stays readable while clients wait, so that trying again at once
//! would spin. And so does its end: no event tells that a descriptor came free elsewhere in the
//! system, so somebody has to try again without one.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::ready;
use std::time::Duration;

use tracing::{debug, warn};
use wakeful::time::{Instant, timeout};
use wakeful_net::{AcceptErrorKind, classify_accept_error};

use crate::listen::Listener;
use crate::server::Server;

/// Accepts clients from `listener`, which has the address `via`, and never returns.
pub(crate) async fn accept(listener: Listener, via: Rc<String>, server: Rc<Server>) {
    let mut trouble = Trouble::default();
    loop {
        let mut client = pin!(listener.accept());
        let accepted = poll_fn(|cx| {
            // Asked before every attempt: other listeners compete for the same room.
            ready!(server.connections.poll_room(cx));
            client.as_mut().poll(cx)
        })
        .await;
        match accepted {
            Ok((stream, peer)) => {
                trouble.is_over();
                server.welcome(stream, peer, &via);
            }
            Err(error) => {
                if let Some(pause) = trouble.pause_after(&error, &via, &server) {
                    // Either end of the wait is a reason to try again.
                    let _whichever = timeout(pause, server.connections.one_left()).await;
                }
            }
        }
    }
}

/// How accepting has fared lately.
#[derive(Debug, Default)]
struct Trouble {
    /// The pause after the last error; `None` while all is well.
    pause: Option<Duration>,
    /// When the last error of ours was seen, for one log line per storm.
    last_seen: Option<Instant>,
}

impl Trouble {
    const SHORTEST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_millis(100);
    /// A storm with a lull shorter than this is still the same one.
    const LULL: Duration = Duration::from_secs(5);

    fn is_over(&mut self) {
        if self.pause.take().is_some() {
            debug!("accepting again");
        }
    }

    /// What to do about an error: `None` is to go on at once.
    fn pause_after(&mut self, error: &io::Error, via: &str, server: &Server) -> Option<Duration> {
        // Anything but the loss of one client is a reason to pause. Even when the error looks
        // final: ten attempts per second cost nothing, and a server that gave up would be of no
        // use.
        if classify_accept_error(error) == AcceptErrorKind::Skip {
            debug!(%via, %error, "a client left before it was accepted");
            return None;
        }
        let now = Instant::now();
        let is_new = self
            .last_seen
            .is_none_or(|seen| now.duration_since(seen) > Self::LULL);
        self.last_seen = Some(now);
        if is_new {
            let open = server.connections.open();
            warn!(%via, %error, open, "cannot accept: clients wait until it is possible again");
        }
        let pause = self
            .pause
            .map_or(Self::SHORTEST, |last| (last * 2).min(Self::LONGEST));
        self.pause = Some(pause);
        Some(pause)
    }
}
