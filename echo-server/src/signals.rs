//! The signals that the server understands, as events to wait for.
//!
//! Installed first of all by [`crate::program`]: from then on none is lost, also while names are
//! looked up and sockets opened.

use std::io;

use wakeful::signal::unix::{Signal, SignalKind, signal};

use crate::race::{Either, race};

/// What somebody outside wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// SIGINT or SIGTERM: end.
    Stop(Stop),
    /// SIGUSR1: tell how things stand.
    Report,
}

/// Which signal asked for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// SIGINT, usually Ctrl-C.
    Interrupt,
    /// SIGTERM, usually a supervisor.
    Terminate,
}

impl Stop {
    /// The signal's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Stop::Interrupt => "SIGINT",
            Stop::Terminate => "SIGTERM",
        }
    }

    /// The status that a shell would report for a program which that signal killed.
    pub(crate) fn status(self) -> i32 {
        match self {
            Stop::Interrupt => 128 + 2,
            Stop::Terminate => 128 + 15,
        }
    }
}

/// The installed handlers.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    user1: Signal,
}

impl Signals {
    /// Installs the handlers.
    pub(crate) fn install() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            user1: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the next signal.
    ///
    /// # Cancel safety
    ///
    /// No signal is lost.
    pub(crate) async fn next(&mut self) -> Wish {
        let stop = race(self.interrupt.recv(), self.terminate.recv());
        match race(stop, self.user1.recv()).await {
            Either::First(Either::First(_)) => Wish::Stop(Stop::Interrupt),
            Either::First(Either::Second(_)) => Wish::Stop(Stop::Terminate),
            Either::Second(_) => Wish::Report,
        }
    }
}
