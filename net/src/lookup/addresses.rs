//! The addresses that a look-up has found: nearly always one, which takes no memory of its own.

use std::fmt;
use std::net::SocketAddr;
use std::vec;

/// The addresses that [`lookup_host`](super::lookup_host) found, an iterator.
#[derive(Clone, Debug)]
pub struct SocketAddrs(Addresses);

#[derive(Clone, Debug)]
enum Addresses {
    /// By far the most frequent case, and the one that needs no allocation.
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

    /// Without addresses, for a state that is left behind.
    pub(crate) fn none() -> Self {
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
