//! UDP: datagrams that arrive whole, or not at all.
//!
//! ```text
//!   send_to --- Datagram ---> a socket that is bound there?  yes: received, event for reading --> recv_from
//!     |                          | no
//!     +<------- Unreachable -----+   ECONNREFUSED, if the sender is connected to that address
//! ```
//!
//! Datagrams of one sender keep their order, and none is lost before the receiver's buffer is full, as on a
//! loopback device. [`Faults::hostile`](crate::Faults::hostile) changes that.
//!
//! Sources: udp(7), ip(7); `__udp4_lib_rcv` and `__udp4_lib_err` in Linux' `net/ipv4/udp.c`.

use std::collections::VecDeque;
use std::net::{Shutdown, SocketAddr};

use super::epoll::{HUP, IN, OUT, RDHUP};
use super::hosts::HostId;
use super::ip::{canonical, check_family, check_only_v6, reaches, target};
use super::tcp::State;
use super::{Delivery, Errno, Net, SocketId};
use crate::faults::Fate;

/// The longest datagrams: what a packet has room for.
const LONGEST_V4: usize = 65_507;
const LONGEST_V6: usize = 65_527;

/// What a receiver keeps: `net.core.rmem_default`. `SO_RCVBUF` is not read.
const RECEIVE_BUFFER: usize = 212_992;

/// What Linux counts for a datagram in addition to its bytes.
const OVERHEAD: usize = 832;

/// Time in flight that a datagram has in addition if others overtake it.
const LATE_NS: u64 = 2_000_000;

/// A socket of UDP. It has a port when `Socket::local` is set.
#[derive(Debug, Default)]
pub(crate) struct Udp {
    pub(super) peer: Option<SocketAddr>,
    received: VecDeque<(Vec<u8>, SocketAddr)>,
    /// What the received datagrams take up.
    size: usize,
    read_end: bool,
    write_end: bool,
}

impl Udp {
    pub(super) fn flags(&self) -> u32 {
        let mut flags = OUT;
        if self.read_end {
            flags |= IN | RDHUP;
        }
        if !self.received.is_empty() {
            flags |= IN;
        }
        if self.read_end && self.write_end {
            flags |= HUP;
        }
        flags
    }
}

impl Net {
    fn udp(&mut self, id: SocketId) -> Option<&mut Udp> {
        match &mut self.sockets.get_mut(&id)?.state {
            State::Udp(udp) => Some(udp),
            _ => None,
        }
    }

    pub(super) fn udp_connect(&mut self, id: SocketId, to: SocketAddr) -> Result<(), Errno> {
        let socket = self.sockets.get(&id).ok_or(libc::EBADF)?;
        check_family(socket.is_v6, to)?;
        check_only_v6(socket, to)?;
        let to = target(to);
        self.bind_for(id, to)?;
        if let Some(udp) = self.udp(id) {
            udp.peer = Some(to);
        }
        Ok(())
    }

    /// Returns where a datagram is sent to, or the error of the socket.
    fn udp_target(
        &mut self,
        id: SocketId,
        len: usize,
        to: Option<SocketAddr>,
    ) -> Result<SocketAddr, Errno> {
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        let State::Udp(udp) = &socket.state else {
            return Err(libc::EBADF);
        };
        // As Linux does: the length, the address, the pending error.
        let to = match to {
            _ if len > LONGEST_V6 => return Err(libc::EMSGSIZE),
            // A socket for IPv6 sends to an address of IPv4 as well.
            Some(to) if !socket.is_v6 && to.is_ipv6() => return Err(libc::EAFNOSUPPORT),
            Some(to) if to.port() == 0 => return Err(libc::EINVAL),
            Some(to) if !socket.has_family_of(to) => return Err(libc::ENETUNREACH),
            Some(to) => target(to),
            None => udp.peer.ok_or(libc::EDESTADDRREQ)?,
        };
        if to.is_ipv4() && len > LONGEST_V4 {
            return Err(libc::EMSGSIZE);
        }
        if let Some(error) = socket.error.take() {
            return Err(error);
        }
        if udp.write_end {
            return Err(libc::EPIPE);
        }
        Ok(to)
    }

    pub(super) fn udp_send(
        &mut self,
        id: SocketId,
        bytes: Vec<u8>,
        len: usize,
        to: Option<SocketAddr>,
    ) -> Result<usize, Errno> {
        // Also if nothing is sent.
        let mut from = self.bind_to_any_port(id)?;
        let to = self.udp_target(id, len, to)?;
        if from.ip().is_unspecified() {
            from.set_ip(self.source_ip(id, to));
        }
        let from = canonical(from);
        let datagram = |bytes| Delivery::Datagram {
            sender: id,
            from,
            to,
            bytes,
        };
        let fate = self.faults.datagram(&mut self.choices, ("datagrams", id));
        match fate {
            Fate::Lost => {}
            Fate::Late => self.at(self.now_ns + LATE_NS, datagram(bytes)),
            Fate::Twice => {
                self.send(id, datagram(bytes.clone()));
                self.send(id, datagram(bytes));
            }
            Fate::Arrives => self.send(id, datagram(bytes)),
        }
        Ok(len)
    }

    pub(super) fn arrive_datagram(
        &mut self,
        sender: SocketId,
        from: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    ) {
        let Some(host) = self.answering_host(sender, to.ip()) else {
            self.note("no answer", sender, 0);
            return;
        };
        let Some(receiver) = self.receiver(host, from, to) else {
            self.send(sender, Delivery::Unreachable { sender, to });
            return;
        };
        let len = bytes.len() as i64;
        let Some(udp) = self.udp(receiver) else {
            return;
        };
        if udp.size >= RECEIVE_BUFFER {
            self.note("dropped", receiver, len);
            return;
        }
        udp.size += bytes.len() + OVERHEAD;
        udp.received.push_back((bytes, from));
        self.note("datagram", receiver, len);
        self.changed(receiver);
    }

    /// Returns the socket of a host that receives datagrams: one that is connected to their sender, otherwise one
    /// that is bound to the address, otherwise one that is bound to all addresses.
    fn receiver(&self, host: HostId, from: SocketAddr, to: SocketAddr) -> Option<SocketId> {
        let rank = |socket: &super::tcp::Socket| {
            let State::Udp(udp) = &socket.state else {
                return None;
            };
            let is_bound_to_it =
                |local: &SocketAddr| reaches(*local, to) && socket.has_family_of(to);
            let local = socket.local.filter(is_bound_to_it)?;
            let is_connected = udp.peer.is_some();
            let receives = udp.peer.is_none_or(|peer| peer == from);
            receives.then_some((is_connected, local.ip() == to.ip(), !socket.is_v6))
        };
        let sockets = self.sockets.iter();
        let ranked = sockets.filter(|(id, _)| self.lan.host_of(**id) == host);
        let ranked = ranked.filter_map(|(id, socket)| Some((rank(socket)?, *id)));
        ranked.max().map(|(_, id)| id)
    }

    pub(super) fn arrive_unreachable(&mut self, sender: SocketId, to: SocketAddr) {
        let Some(udp) = self.udp(sender) else {
            return;
        };
        if udp.peer != Some(to) {
            return;
        }
        if let Some(socket) = self.sockets.get_mut(&sender) {
            socket.error = Some(libc::ECONNREFUSED);
        }
        self.note("unreachable", sender, 0);
        self.changed(sender);
    }

    pub(super) fn udp_recv(
        &mut self,
        id: SocketId,
        peek: bool,
    ) -> Result<(Vec<u8>, SocketAddr), Errno> {
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        if let Some(error) = socket.error.take() {
            return Err(error);
        }
        let udp = self.udp(id).ok_or(libc::EBADF)?;
        if peek {
            return udp.received.front().cloned().ok_or(libc::EAGAIN);
        }
        let (bytes, from) = udp.received.pop_front().ok_or(libc::EAGAIN)?;
        udp.size -= bytes.len() + OVERHEAD;
        Ok((bytes, from))
    }

    pub(super) fn udp_shutdown(&mut self, id: SocketId, how: Shutdown) -> Result<(), Errno> {
        let udp = self.udp(id).ok_or(libc::EBADF)?;
        udp.read_end |= how != Shutdown::Write;
        udp.write_end |= how != Shutdown::Read;
        // As in Linux, it takes effect without a peer as well, and fails.
        let result = udp.peer.map(drop).ok_or(libc::ENOTCONN);
        self.changed(id);
        result
    }
}
