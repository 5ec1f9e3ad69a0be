//! The hosts of a simulation: their addresses, and what passes between them.
//!
//! ```text
//!   in flight --> partitioned, or the host is down?  no: to its socket
//!                   | yes
//!                   v
//!                 held back, and tried again after 0.2, 0.4, 0.8, .. 120 s
//!                   | the host was down, and has restarted: Reset back
//! ```
//!
//! What was sent to a socket arrives in order, so one thing that is held back holds the ones behind it, as with
//! TCP. After 924 s without an acknowledgment the connection ends with `ETIMEDOUT`. A connection that is not
//! open yet is tried after 1, 2, 4, .. 64 s, and ends after 127 s. These are Linux' defaults.
//!
//! Sources: tcp(7), `tcp_retries2` and `tcp_syn_retries`; RFC 9293, 3.5.1 for a host that has restarted.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::ip::source;
use super::programs::Host;
use super::recordings::Recordings;
use super::steps::Step;
use super::tcp::State;
use super::{Delivery, Net, RETRY_NS, SocketId};

/// Number of a host.
pub(crate) type HostId = usize;

/// The address of the first host.
const FIRST_IP: u32 = u32::from_be_bytes([10, 0, 0, 1]);

/// The time after which a segment is sent again; it doubles each time.
const RESEND_NS: u64 = 200_000_000;
const MAX_RESEND_NS: u64 = 120_000_000_000;
/// A segment that has failed so often ends its connection: 924.6 s after it was sent.
const RESENDS: u32 = 16;
/// A connection that is not answered is tried again so often.
const SYN_RETRIES: u32 = 6;

/// The hosts and the paths between them. Without hosts everything is on one machine.
#[derive(Default)]
pub(crate) struct Lan {
    pub(crate) hosts: Vec<Host>,
    /// The host whose program runs.
    pub(crate) running: HostId,
    /// Whether the test looks at each step.
    pub(crate) is_checked: bool,
    /// When the run ends at the latest.
    pub(crate) last_ns: u64,
    /// A step that a host has found, for the thread of the test.
    pub(super) next: Option<Step>,
    /// Number of turns so far.
    pub(crate) turns: u64,
    /// Number of turns after which a run seems to have no end.
    pub(crate) max_turns: Option<u64>,
    /// The host of each socket, also of those that are gone.
    of_socket: BTreeMap<SocketId, HostId>,
    /// How often each pair of hosts is partitioned.
    cuts: BTreeMap<(HostId, HostId), u32>,
    /// Streams that a crash has ended, with their peers.
    crashed: BTreeMap<SocketId, SocketId>,
    /// What is held back, by receiver.
    held: BTreeMap<SocketId, Vec<Delivery>>,
    /// `None` unless the run is recorded.
    pub(crate) recordings: Option<Recordings>,
}

/// How a delivery comes to a socket.
struct Link {
    peer: SocketId,
    from: HostId,
    to: HostId,
    /// Whether a crash has ended the receiver.
    is_crashed: bool,
}

/// Returns the socket to which a peer sends this. `None` if it does not come from the network.
fn receiver(delivery: &Delivery) -> Option<SocketId> {
    match delivery {
        Delivery::Connected { client: to, .. }
        | Delivery::Established { server: to }
        | Delivery::Bytes { to, .. }
        | Delivery::Fin { to }
        | Delivery::FinTaken { of: to }
        | Delivery::Reset { to, .. } => Some(*to),
        // Without a count it is an event of the sender itself.
        Delivery::Taken { by, count } => (*count > 0).then_some(*by),
        _ => None,
    }
}

/// Returns whether the sender repeats this until it is acknowledged.
fn is_repeated(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::Bytes { .. } | Delivery::Fin { .. })
}

fn pair(one: HostId, other: HostId) -> (HostId, HostId) {
    (one.min(other), one.max(other))
}

impl Net {
    /// Makes a choice of the test itself.
    ///
    /// # Panics
    ///
    /// When `of` is 0.
    #[track_caller]
    pub(crate) fn choose_for_test(&mut self, of: u32) -> u32 {
        assert!(of > 0, "there is nothing to choose from 0 possibilities");
        self.choices.choose("test", of)
    }
}

impl Lan {
    pub(crate) fn ip(host: HostId) -> Ipv4Addr {
        Ipv4Addr::from(FIRST_IP + host as u32)
    }

    pub(crate) fn find(&self, name: &str) -> Option<HostId> {
        self.hosts.iter().position(|host| host.name == name)
    }

    pub(crate) fn host_of(&self, socket: SocketId) -> HostId {
        self.of_socket.get(&socket).copied().unwrap_or(0)
    }

    pub(super) fn set_host(&mut self, socket: SocketId, host: HostId) {
        if !self.hosts.is_empty() {
            self.of_socket.insert(socket, host);
        }
    }

    /// Returns whether the run seems to have no end.
    pub(crate) fn is_endless(&self) -> bool {
        self.max_turns.is_some_and(|max| self.turns > max)
    }

    /// Returns the host that has an address, as seen from another one.
    fn host_at(&self, from: HostId, ip: IpAddr) -> Option<HostId> {
        if self.hosts.is_empty() || ip.is_loopback() || ip.is_unspecified() {
            return Some(from);
        }
        (0..self.hosts.len()).find(|host| ip == IpAddr::V4(Self::ip(*host)))
    }

    fn is_cut(&self, one: HostId, other: HostId) -> bool {
        self.cuts.contains_key(&pair(one, other))
    }

    pub(crate) fn cut(&mut self, one: HostId, other: HostId) {
        *self.cuts.entry(pair(one, other)).or_default() += 1;
    }

    /// Ends one partition of two hosts.
    pub(crate) fn mend(&mut self, one: HostId, other: HostId) {
        if let Some(count) = self.cuts.get_mut(&pair(one, other)) {
            *count -= 1;
            if *count == 0 {
                self.cuts.remove(&pair(one, other));
            }
        }
    }

    /// Ends all partitions of two hosts.
    pub(crate) fn heal(&mut self, one: HostId, other: HostId) {
        self.cuts.remove(&pair(one, other));
    }

    /// Returns the pairs of hosts that are partitioned.
    pub(super) fn cut_pairs(&self) -> impl Iterator<Item = (HostId, HostId)> {
        self.cuts.keys().copied()
    }

    pub(crate) fn heal_all(&mut self) {
        self.cuts.clear();
    }
}

impl Net {
    /// Returns whether a socket can be bound to an address of its host.
    pub(super) fn has_address(&self, id: SocketId, ip: IpAddr) -> bool {
        let host = self.lan.host_of(id);
        self.lan.host_at(host, ip) == Some(host)
    }

    /// Returns the address from which a socket sends to another one.
    pub(super) fn source_ip(&self, id: SocketId, to: SocketAddr) -> IpAddr {
        if self.lan.hosts.is_empty() || to.ip().is_loopback() || to.is_ipv6() {
            source(to)
        } else {
            Lan::ip(self.lan.host_of(id)).into()
        }
    }

    /// Returns the host that answers a client. `None` if none does now.
    pub(super) fn answering_host(&self, client: SocketId, to: IpAddr) -> Option<HostId> {
        let from = self.lan.host_of(client);
        let host = self.lan.host_at(from, to)?;
        let is_up = self.lan.hosts.get(host).is_none_or(|host| host.is_up);
        (is_up && !self.lan.is_cut(from, host)).then_some(host)
    }

    /// Tries a connection later that was not answered.
    pub(super) fn retry_syn(&mut self, client: SocketId, to: SocketAddr, tries: u32) {
        self.note("no answer", client, tries.into());
        let at = self.now_ns + (RETRY_NS << tries.min(SYN_RETRIES));
        if tries < SYN_RETRIES {
            let tries = tries + 1;
            self.at(at, Delivery::Syn { client, to, tries });
        } else {
            let errno = libc::ETIMEDOUT;
            self.at(at, Delivery::Reset { to: client, errno });
        }
    }

    fn link(&self, to: SocketId) -> Option<Link> {
        let crashed = self.lan.crashed.get(&to).copied();
        let peer = match (crashed, self.sockets.get(&to)) {
            (Some(peer), _) => peer,
            (None, Some(socket)) => match &socket.state {
                State::Stream(stream) => stream.peer,
                _ => return None,
            },
            (None, None) => return None,
        };
        // 0 is that of a client whose connection is not answered yet.
        (peer != 0).then(|| Link {
            peer,
            from: self.lan.host_of(peer),
            to: self.lan.host_of(to),
            is_crashed: crashed.is_some(),
        })
    }

    fn passes(&self, link: &Link) -> bool {
        let is_down = link.is_crashed && !self.lan.hosts[link.to].is_up;
        !is_down && !self.lan.is_cut(link.from, link.to)
    }

    /// Makes one thing arrive, if it comes through to its host.
    pub(super) fn arrive_at_host(&mut self, delivery: Delivery) {
        let Some(to) = receiver(&delivery) else {
            return self.arrive(delivery);
        };
        let Some(link) = self.link(to) else {
            return self.arrive(delivery);
        };
        if let Some(held) = self.lan.held.get_mut(&to) {
            held.push(delivery);
        } else if link.is_crashed && matches!(delivery, Delivery::Connected { .. }) {
            // The server's end is removed.
            self.arrive(delivery);
        } else if !self.passes(&link) {
            let is_dropped = link.is_crashed && !is_repeated(&delivery);
            if is_dropped || self.lan.crashed.contains_key(&link.peer) {
                return;
            }
            self.note("held back", to, 0);
            self.lan.held.insert(to, vec![delivery]);
            self.at(self.now_ns + RESEND_NS, Delivery::Resend { to, tries: 1 });
        } else if link.is_crashed {
            // The first answer is enough.
            self.lan.crashed.remove(&to);
            if !matches!(delivery, Delivery::Reset { .. }) {
                let (to, errno) = (link.peer, libc::ECONNRESET);
                self.send(to, Delivery::Reset { to, errno });
            }
        } else {
            self.arrive(delivery);
        }
    }

    /// Tries what is held back for a socket.
    pub(super) fn resend(&mut self, to: SocketId, tries: u32) {
        let Some(held) = self.lan.held.remove(&to) else {
            return;
        };
        let Some(link) = self.link(to) else {
            // The receiver has closed its socket.
            held.into_iter().for_each(|delivery| self.arrive(delivery));
            return;
        };
        let has_data = held.iter().any(is_repeated);
        if self.passes(&link) {
            self.note("sent again", to, tries.into());
            held.into_iter()
                .for_each(|delivery| self.arrive_at_host(delivery));
        } else if tries >= RESENDS && has_data {
            let (to, errno) = (link.peer, libc::ETIMEDOUT);
            self.arrive(Delivery::Reset { to, errno });
        } else if has_data || !link.is_crashed {
            self.lan.held.insert(to, held);
            let pause = (RESEND_NS << tries.min(16)).min(MAX_RESEND_NS);
            let tries = tries + 1;
            self.at(self.now_ns + pause, Delivery::Resend { to, tries });
        }
    }

    /// Forgets the sockets of a host, without a packet. What it has in flight arrives, what it would have sent
    /// again does not.
    pub(super) fn drop_sockets(&mut self, host: HostId) {
        let is_from_host = |to: &SocketId| self.link(*to).is_some_and(|link| link.from == host);
        let held: Vec<SocketId> = self.lan.held.keys().copied().filter(is_from_host).collect();
        for to in held {
            self.lan.held.remove(&to);
        }
        let ids = self.sockets.keys().copied();
        let ids: Vec<SocketId> = ids.filter(|id| self.lan.host_of(*id) == host).collect();
        for id in ids {
            if let Some(link) = self.link(id) {
                self.lan.crashed.insert(id, link.peer);
            }
            self.sockets.remove(&id);
        }
        let lan = &self.lan;
        self.fds.retain(|_, id| lan.host_of(*id) != host);
        self.forget_ended_watches();
    }

    /// Closes the descriptors of a host, as the kernel does when a program ends.
    pub(super) fn close_sockets(&mut self, host: HostId) {
        let lan = &self.lan;
        let ids = self.fds.values().copied();
        let mut ids: Vec<SocketId> = ids.filter(|id| lan.host_of(*id) == host).collect();
        // The descriptors' own order depends on other threads.
        ids.sort_unstable();
        self.fds.retain(|_, id| lan.host_of(*id) != host);
        for id in ids {
            self.note("close", id, 0);
            self.close(id, false);
        }
        self.forget_ended_watches();
    }
}
