//! Errors that end connections, and their log: one line each on stderr, without bytes of the peer.
//!
//! A client that disconnects between two frames is not logged. Every other end is logged by all
//! models as `PEER: REASON; closed`.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;

use crate::protocol::Malformed;

/// Error that ends a connection.
#[derive(Debug)]
pub(crate) enum ConnectionError {
    /// Bytes that violate the protocol.
    Malformed(Malformed),
    /// Name of a failed operation, and its error.
    Io(&'static str, io::Error),
}

impl ConnectionError {
    /// Returns a function for `map_err` that adds the name of the operation.
    pub(crate) fn io(operation: &'static str) -> impl FnOnce(io::Error) -> ConnectionError {
        move |error| ConnectionError::Io(operation, error)
    }
}

impl From<Malformed> for ConnectionError {
    fn from(reason: Malformed) -> ConnectionError {
        ConnectionError::Malformed(reason)
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectionError::Malformed(reason) => reason.fmt(f),
            ConnectionError::Io(operation, error) => write!(f, "{operation}: {error}"),
        }
    }
}

/// Logs the outcome of a connection if it is an error.
pub(crate) fn log_outcome(peer: SocketAddr, outcome: &Result<(), ConnectionError>) {
    if let Err(error) = outcome {
        log(format_args!("{peer}: {error}; closed"));
    }
}

/// Writes a line to stderr with one write. Errors are ignored: the server keeps serving without a
/// log.
pub(crate) fn log(line: fmt::Arguments<'_>) {
    io::stderr()
        .lock()
        .write_all(format!("{line}\n").as_bytes())
        .ok();
}
