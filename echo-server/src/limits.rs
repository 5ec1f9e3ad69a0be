//! The limit on open descriptors, and how many connections fit under it.
//!
//! Called once at start-up. Most systems give a process a low soft limit (1024) for the sake of
//! programs that use select(2), and a high hard limit for those that ask: this server asks.

use std::fmt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The descriptor limit as it was found and as it is now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DescriptorLimit {
    found: Option<u64>,
    now: Option<u64>,
}

/// Descriptors that connections must leave free: the standard streams, name look-ups, and the
/// moment in which a connection has been accepted but another not yet closed.
const RESERVE: u64 = 12;

/// What one runtime needs for itself: epoll, its eventfd, the pipe or eventfd of its signals.
const PER_RUNTIME: u64 = 4;

/// Raises the soft limit to the hard limit. Failing to is not an error: the server then works with
/// the limit it has.
pub(crate) fn raise_descriptor_limit() -> DescriptorLimit {
    let limit = getrlimit(Resource::Nofile);
    let found = limit.current;
    if found == limit.maximum {
        return DescriptorLimit { found, now: found };
    }
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let now = match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => limit.maximum,
        Err(_) => found,
    };
    DescriptorLimit { found, now }
}

impl DescriptorLimit {
    /// How many connections fit beside `listeners` listening sockets and `runtimes` runtimes; at
    /// least one.
    pub(crate) fn room_for_connections(self, listeners: usize, runtimes: u32) -> usize {
        let Some(limit) = self.now else {
            return usize::MAX;
        };
        let taken = RESERVE + PER_RUNTIME * u64::from(runtimes) + listeners as u64;
        usize::try_from(limit.saturating_sub(taken).max(1)).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for DescriptorLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |n| n.to_string());
        if self.found == self.now {
            write!(f, "the descriptor limit is {}", show(self.now))
        } else {
            write!(
                f,
                "descriptor limit raised from {} to {}",
                show(self.found),
                show(self.now)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_limit_leaves_room_for_at_least_one_connection() {
        let limit = |now| DescriptorLimit { found: now, now };
        assert_eq!(limit(Some(64)).room_for_connections(1, 1), 47);
        assert_eq!(limit(Some(5)).room_for_connections(3, 1), 1);
        assert_eq!(limit(None).room_for_connections(1, 1), usize::MAX);
    }
}
