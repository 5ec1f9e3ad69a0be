//! TCP as state machines: the calls of a socket. What arrives at it is in `arrivals`.
//!
//! ```text
//!   connect ----- Syn ---------> listener?  no: Reset back, ECONNREFUSED
//!   Connected <------------------- yes
//!      |  event for writing
//!      +--------- Established --> the listener's queue, event for reading --> accept
//!
//!   send -------- Bytes -------> received, event for reading --> recv
//!   room  <------ Taken -------- after recv; an event for writing if the sender found no room
//!   shutdown ---- Fin ---------> the end of the stream, after all bytes
//!   close ------- Fin ---------> or Reset, if received bytes were not read, or with a linger of zero
//! ```
//!
//! Bytes in both directions take their time, and nothing on a connection overtakes. Loss shows as delay
//! only, as with real TCP.
//!
//! Sources: tcp(7), connect(2), accept(2), shutdown(2), RFC 9293.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};

use super::epoll::Watch;
use super::hosts::HostId;
use super::{Delivery, Net, SocketId};

/// Bytes that are in flight or not read in one direction, at most.
pub(crate) const CAPACITY: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Socket {
    /// Number of descriptors. A socket without one still delivers what was sent.
    pub(crate) handles: u32,
    pub(crate) is_v6: bool,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) state: State,
    /// The pending error.
    pub(crate) error: Option<i32>,
    pub(crate) watches: Vec<Watch>,
}

#[derive(Debug)]
pub(crate) enum State {
    New,
    Listening(Listener),
    Stream(Stream),
}

#[derive(Debug)]
pub(crate) struct Listener {
    pub(super) backlog: usize,
    /// Connections that are open and not accepted.
    pub(crate) queue: VecDeque<SocketId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    Open,
    /// Reset by either side, or refused.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) phase: Phase,
    pub(super) peer_addr: SocketAddr,
    pub(super) peer: SocketId,
    /// The listener of a connection that is not accepted yet.
    pub(super) listener: Option<SocketId>,
    pub(crate) received: VecDeque<u8>,
    /// Whether the peer's FIN has arrived.
    pub(super) has_fin: bool,
    /// Whether the peer has this side's FIN.
    pub(super) is_fin_taken: bool,
    /// Set by the peer's FIN, and by shutting down the reading direction.
    pub(crate) read_end: bool,
    /// Set by shutting down the writing direction.
    pub(crate) write_end: bool,
    /// Bytes that were sent and that the peer has not taken, as far as this side knows.
    pub(super) sent: usize,
    /// Set by a send that found less room than it asked for. Then an event is due.
    pub(super) found_no_room: bool,
}

impl Stream {
    pub(super) fn new(peer: SocketId, peer_addr: SocketAddr, phase: Phase) -> Self {
        Self {
            phase,
            peer_addr,
            peer,
            listener: None,
            received: VecDeque::new(),
            has_fin: false,
            is_fin_taken: false,
            read_end: false,
            write_end: false,
            sent: 0,
            found_no_room: false,
        }
    }

    /// Ends the connection when both directions have ended. Then it has no peer any more.
    pub(super) fn close_if_over(&mut self) {
        if self.has_fin && self.is_fin_taken {
            self.phase = Phase::Closed;
        }
    }

    fn room(&self) -> usize {
        CAPACITY - self.sent.min(CAPACITY)
    }

    /// Linux reports room only when a third of the buffer is free.
    pub(crate) fn has_room_for_event(&self) -> bool {
        self.room() >= CAPACITY / 3
    }
}

/// An errno, and 0 for none.
type Errno = i32;

fn unspecified(is_v6: bool) -> SocketAddr {
    if is_v6 {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    }
}

impl Socket {
    pub(crate) fn new(is_v6: bool) -> Self {
        Self {
            handles: 1,
            is_v6,
            local: None,
            state: State::New,
            error: None,
            watches: Vec::new(),
        }
    }

    pub(super) fn stream(&mut self) -> Option<&mut Stream> {
        match &mut self.state {
            State::Stream(stream) => Some(stream),
            _ => None,
        }
    }
}

impl Net {
    pub(super) fn stream(&mut self, id: SocketId) -> Option<&mut Stream> {
        self.sockets.get_mut(&id)?.stream()
    }

    /// Returns the socket that a client of `to` reaches on a host.
    pub(super) fn listener_at(&self, host: HostId, to: SocketAddr) -> Option<SocketId> {
        let reaches = |local: SocketAddr| {
            local.port() == to.port() && (local.ip() == to.ip() || local.ip().is_unspecified())
        };
        let mut sockets = self.sockets.iter();
        let found = sockets.find(|(id, socket)| {
            let listens = matches!(socket.state, State::Listening(_));
            listens && socket.local.is_some_and(reaches) && self.lan.host_of(**id) == host
        });
        found.map(|(id, _)| *id)
    }

    pub(crate) fn bind(&mut self, id: SocketId, address: SocketAddr) -> Result<(), Errno> {
        let socket = self.sockets.get(&id).ok_or(libc::EBADF)?;
        if socket.local.is_some() {
            return Err(libc::EINVAL);
        }
        if socket.is_v6 != address.is_ipv6() {
            return Err(libc::EAFNOSUPPORT);
        }
        if !self.has_address(id, address.ip()) {
            return Err(libc::EADDRNOTAVAIL);
        }
        let mut local = address;
        if local.port() == 0 {
            local.set_port(self.free_port());
        }
        // An unspecified address contains the others of its family.
        let overlaps = |other: SocketAddr| {
            let (one, two) = (local.ip(), other.ip());
            let is_same = one == two || one.is_unspecified() || two.is_unspecified();
            local.port() == other.port() && local.is_ipv4() == other.is_ipv4() && is_same
        };
        let clashes = |other: &Socket| {
            let is_bound = matches!(other.state, State::New | State::Listening(_));
            is_bound && other.handles > 0 && other.local.is_some_and(overlaps)
        };
        let host = self.lan.host_of(id);
        let mut others = self.sockets.iter();
        if others.any(|(other, socket)| self.lan.host_of(*other) == host && clashes(socket)) {
            return Err(libc::EADDRINUSE);
        }
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.local = Some(local);
        }
        Ok(())
    }

    pub(crate) fn listen(&mut self, id: SocketId, backlog: u32) -> Result<(), Errno> {
        let port = self.free_port();
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        let mut local = socket.local.unwrap_or(unspecified(socket.is_v6));
        if local.port() == 0 {
            local.set_port(port);
        }
        // Linux lets one connection more wait than asked for.
        let backlog = backlog as usize + 1;
        match &mut socket.state {
            State::New => {
                socket.local = Some(local);
                socket.state = State::Listening(Listener {
                    backlog,
                    queue: VecDeque::new(),
                });
            }
            State::Listening(listener) => listener.backlog = backlog,
            State::Stream(_) => return Err(libc::EINVAL),
        }
        self.changed(id);
        Ok(())
    }

    pub(crate) fn connect(&mut self, id: SocketId, to: SocketAddr) -> Result<(), Errno> {
        let port = self.free_port();
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        match &socket.state {
            State::New => {}
            State::Listening(_) => return Err(libc::EISCONN),
            State::Stream(stream) => {
                return Err(match stream.phase {
                    Phase::Connecting => libc::EALREADY,
                    Phase::Open => libc::EISCONN,
                    Phase::Closed => libc::ECONNABORTED,
                });
            }
        }
        if socket.is_v6 != to.is_ipv6() {
            return Err(libc::EAFNOSUPPORT);
        }
        let mut to = to;
        if to.ip().is_unspecified() {
            let local = if socket.is_v6 {
                Ipv6Addr::LOCALHOST.into()
            } else {
                Ipv4Addr::LOCALHOST.into()
            };
            to.set_ip(local);
        }
        let source = SocketAddr::new(self.source_ip(id, to.ip()), port);
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        socket.local = Some(socket.local.unwrap_or(source));
        // The peer is known when the packet arrives.
        socket.state = State::Stream(Stream::new(0, to, Phase::Connecting));
        let (client, tries) = (id, 0);
        self.send(id, Delivery::Syn { client, to, tries });
        Err(libc::EINPROGRESS)
    }

    /// Takes the first connection out of the queue.
    pub(crate) fn accept(&mut self, id: SocketId) -> Result<(SocketId, SocketAddr), Errno> {
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        let State::Listening(listener) = &mut socket.state else {
            return Err(libc::EINVAL);
        };
        let accepted = listener.queue.pop_front().ok_or(libc::EAGAIN)?;
        let stream = self.stream(accepted).ok_or(libc::ECONNABORTED)?;
        stream.listener = None;
        Ok((accepted, stream.peer_addr))
    }

    pub(crate) fn recv(
        &mut self,
        id: SocketId,
        asked: usize,
        peek: bool,
        mut copy: impl FnMut(u8),
    ) -> Result<usize, Errno> {
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        let has_bytes =
            matches!(&socket.state, State::Stream(stream) if !stream.received.is_empty());
        if !has_bytes && let Some(error) = socket.error.take() {
            return Err(error);
        }
        let Some(stream) = socket.stream() else {
            return Err(libc::ENOTCONN);
        };
        if !has_bytes {
            return match stream.phase {
                Phase::Connecting => Err(libc::EAGAIN),
                Phase::Open if !stream.read_end => Err(libc::EAGAIN),
                _ => Ok(0),
            };
        }
        let count = asked.min(stream.received.len());
        if peek {
            stream
                .received
                .iter()
                .take(count)
                .for_each(|byte| copy(*byte));
            return Ok(count);
        }
        stream.received.drain(..count).for_each(copy);
        let peer = stream.peer;
        if count > 0 {
            self.send(peer, Delivery::Taken { by: peer, count });
        }
        Ok(count)
    }

    /// Sends as much of `bytes` as there is room for, at most `limit` bytes. They are the first of `len`
    /// bytes; less than all of these causes an event later.
    pub(crate) fn send_bytes(
        &mut self,
        id: SocketId,
        bytes: &[u8],
        len: usize,
        limit: usize,
    ) -> Result<usize, Errno> {
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        if let Some(error) = socket.error.take() {
            return Err(error);
        }
        let Some(stream) = socket.stream() else {
            return Err(libc::EPIPE);
        };
        if stream.write_end {
            return Err(libc::EPIPE);
        }
        match stream.phase {
            Phase::Connecting => return Err(libc::EAGAIN),
            Phase::Closed => return Err(libc::EPIPE),
            Phase::Open => {}
        }
        let count = bytes.len().min(stream.room()).min(limit);
        let peer = stream.peer;
        stream.sent += count;
        let is_cut = count < len;
        stream.found_no_room |= is_cut;
        if count > 0 {
            let bytes = bytes[..count].to_vec();
            self.send_in_pieces(peer, bytes);
        }
        if is_cut && count >= limit {
            // Room that a fault has hidden appears again.
            self.send(id, Delivery::Taken { by: id, count: 0 });
        }
        if is_cut && count == 0 {
            return Err(libc::EAGAIN);
        }
        Ok(count)
    }

    /// Causes the event that follows an `EAGAIN` by fault: for bytes soon, and for room as after an
    /// `EAGAIN` of the kernel.
    pub(crate) fn again(&mut self, id: SocketId) {
        if let Some(stream) = self.stream(id) {
            stream.found_no_room = true;
        }
        self.send(id, Delivery::Again { socket: id });
    }

    /// Lets bytes arrive in pieces, at different times.
    fn send_in_pieces(&mut self, to: SocketId, mut bytes: Vec<u8>) {
        let stream = format!("pieces {to}");
        while bytes.len() > 1 && self.faults.short(&mut self.choices, &stream) {
            let at = 1 + self.choices.choose(&stream, bytes.len() as u32 - 1) as usize;
            let rest = bytes.split_off(at);
            self.send(to, Delivery::Bytes { to, bytes });
            bytes = rest;
        }
        self.send(to, Delivery::Bytes { to, bytes });
    }

    pub(crate) fn shutdown(&mut self, id: SocketId, how: Shutdown) -> Result<(), Errno> {
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        let stream = match &mut socket.state {
            State::Stream(stream) if stream.phase == Phase::Open => stream,
            _ => return Err(libc::ENOTCONN),
        };
        if how != Shutdown::Write {
            stream.read_end = true;
        }
        let peer = stream.peer;
        if how != Shutdown::Read && !stream.write_end {
            stream.write_end = true;
            self.send(peer, Delivery::Fin { to: peer });
        }
        self.changed(id);
        Ok(())
    }

    /// Returns the address of this end. Port 0 of all addresses before it is bound.
    pub(crate) fn local_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        let socket = self.sockets.get(&id).ok_or(libc::EBADF)?;
        Ok(socket.local.unwrap_or(unspecified(socket.is_v6)))
    }

    pub(crate) fn peer_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        match &self.sockets.get(&id).ok_or(libc::EBADF)?.state {
            State::Stream(stream) if stream.phase == Phase::Open => Ok(stream.peer_addr),
            _ => Err(libc::ENOTCONN),
        }
    }

    /// Closes one descriptor of a socket, and the socket with its last one.
    pub(crate) fn close(&mut self, id: SocketId, zero_linger: bool) {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        socket.handles -= 1;
        if socket.handles > 0 {
            return;
        }
        socket.watches.clear();
        match &mut socket.state {
            State::New => {
                self.sockets.remove(&id);
            }
            State::Listening(listener) => {
                let queue = std::mem::take(&mut listener.queue);
                self.sockets.remove(&id);
                for waiting in queue {
                    self.reset_peer(waiting, libc::ECONNRESET);
                    self.sockets.remove(&waiting);
                }
            }
            State::Stream(stream) => {
                let (peer, phase) = (stream.peer, stream.phase);
                let is_reset = zero_linger || !stream.received.is_empty();
                let ends = !std::mem::replace(&mut stream.write_end, true);
                stream.read_end = true;
                if phase != Phase::Open {
                    self.sockets.remove(&id);
                } else if is_reset {
                    self.reset_peer(id, libc::ECONNRESET);
                    self.sockets.remove(&id);
                } else {
                    let is_over = stream.has_fin;
                    if ends {
                        self.send(peer, Delivery::Fin { to: peer });
                    }
                    if is_over {
                        self.sockets.remove(&id);
                    }
                }
            }
        }
    }
}
