//! How connections end, and how that is told: one line each, on stderr, without a byte of the peer's.
//!
//! A client that leaves between two frames is not worth a line. Everything else is, whichever the
//! model: `PEER: REASON; closed`.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;

use crate::protocol::Malformed;

/// Why a connection ended other than by the client's leave.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It sent what is not the protocol.
    Malformed(Malformed),
    /// An operation on it failed: its name, and the error.
    Io(&'static str, io::Error),
}

impl Broken {
    /// For `map_err`: which operation it was.
    pub(crate) fn during(operation: &'static str) -> impl FnOnce(io::Error) -> Broken {
        move |error| Broken::Io(operation, error)
    }
}

impl From<Malformed> for Broken {
    fn from(reason: Malformed) -> Broken {
        Broken::Malformed(reason)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Malformed(reason) => reason.fmt(f),
            Broken::Io(operation, error) => write!(f, "{operation}: {error}"),
        }
    }
}

/// Tells how a connection ended, if that is worth a line.
pub(crate) fn report(peer: SocketAddr, outcome: &Result<(), Broken>) {
    if let Err(broken) = outcome {
        log(format_args!("{peer}: {broken}; closed"));
    }
}

/// Writes one line, in one piece. A log that cannot be written is no reason to stop serving.
pub(crate) fn log(line: fmt::Arguments<'_>) {
    io::stderr()
        .lock()
        .write_all(format!("{line}\n").as_bytes())
        .ok();
}
