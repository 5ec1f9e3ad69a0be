//! The addresses that a lookup has found: nearly always one, which needs no allocation.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::vec;

use crate::error::{no_address, prefer, with_context};

/// The addresses that [`lookup_host`](super::lookup_host) found, as an iterator.
#[derive(Clone, Debug)]
pub struct SocketAddrs(Addresses);

#[derive(Clone, Debug)]
enum Addresses {
    /// The most frequent case, which needs no allocation.
    One(Option<SocketAddr>),
    Many(vec::IntoIter<SocketAddr>),
}

impl SocketAddrs {
    pub(super) fn one(address: impl Into<SocketAddr>) -> Self {
        Self(Addresses::One(Some(address.into())))
    }

    pub(super) fn many(addresses: Vec<SocketAddr>) -> Self {
        Self(Addresses::Many(addresses.into_iter()))
    }

    /// Calls `attempt` with one address after another until it succeeds.
    ///
    /// # Errors
    ///
    /// The preferred error of the attempts, with the operation and its address.
    pub(crate) fn try_each<T>(
        self,
        operation: &'static str,
        attempt: impl Fn(SocketAddr) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut failure = None;
        for address in self {
            match attempt(address) {
                Ok(value) => return Ok(value),
                Err(err) => failure = Some(prefer(failure, with_context(operation, address, err))),
            }
        }
        Err(failure.unwrap_or_else(|| no_address(operation)))
    }
}

/// No addresses.
impl Default for SocketAddrs {
    fn default() -> Self {
        Self(Addresses::One(None))
    }
}

impl Iterator for SocketAddrs {
    type Item = SocketAddr;

    fn next(&mut self) -> Option<SocketAddr> {
        match &mut self.0 {
            Addresses::One(address) => address.take(),
            Addresses::Many(addresses) => addresses.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Addresses::One(address) => (address.iter().len(), Some(address.iter().len())),
            Addresses::Many(addresses) => addresses.size_hint(),
        }
    }
}

impl ExactSizeIterator for SocketAddrs {}

impl fmt::Display for SocketAddrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, address) in self.clone().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{address}")?;
        }
        if self.len() == 0 {
            f.write_str("(no address)")
        } else {
            Ok(())
        }
    }
}
