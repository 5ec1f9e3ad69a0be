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
use std::io::IoSliceMut;
use std::net::{Shutdown, SocketAddr};

use super::calls::scatter;
use super::epoll::Watch;
use super::hosts::HostId;
use super::ip::{check_family, check_one_host, check_only_v6, overlaps, reaches, target};
use super::udp::Udp;
use super::unix::Unix;
use super::{Delivery, Errno, Net, SocketId};

/// Bytes that are in flight or not read in one direction, at most.
pub(crate) const CAPACITY: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Socket {
    /// Number of descriptors. A socket without one still delivers what was sent.
    pub(crate) handles: u32,
    pub(crate) is_v6: bool,
    /// The address of a socket of TCP or UDP, also after its port is free again.
    pub(crate) local: Option<SocketAddr>,
    /// Whether no other socket can have its port.
    pub(super) has_port: bool,
    /// Whether the port was chosen by the kernel. Then it is free again when the connection is over.
    pub(super) is_port_chosen: bool,
    /// Whether the IP address was chosen by connect(2). Then another connection has another one.
    pub(super) is_ip_chosen: bool,
    /// `SO_REUSEADDR` when it was bound.
    pub(super) reuse: bool,
    /// `IPV6_V6ONLY` at the last call that needs it: bind, listen, connect or a send to an address.
    pub(super) only_v6: bool,
    pub(crate) state: State,
    /// The pending error.
    pub(crate) error: Option<i32>,
    pub(crate) watches: Vec<Watch>,
}

#[derive(Debug)]
pub(crate) enum State {
    /// TCP, neither listening nor connected.
    New,
    /// TCP.
    Listening(Listener),
    /// TCP.
    Stream(Stream),
    Udp(Udp),
    Unix(Unix),
}

#[derive(Debug)]
pub(crate) struct Listener {
    pub(super) backlog: usize,
    /// Connections that are open and not accepted.
    pub(crate) queue: VecDeque<SocketId>,
}

impl Listener {
    pub(super) fn new(backlog: usize) -> Self {
        Self {
            backlog,
            queue: VecDeque::new(),
        }
    }
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
    /// Whether a call has found the connection open: accept(2), shutdown(2), or a second connect(2).
    pub(super) is_known: bool,
    pub(crate) received: VecDeque<u8>,
    /// Whether the peer's FIN has arrived.
    pub(super) has_fin: bool,
    /// Whether the peer has this side's FIN.
    pub(super) is_fin_taken: bool,
    /// Set by the peer's FIN, and by shutting down the reading direction.
    pub(crate) read_end: bool,
    /// Set by shutting down the writing direction.
    pub(crate) write_end: bool,
    /// Whether this side's FIN was sent before the peer's has arrived.
    pub(super) ended_first: bool,
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
            is_known: false,
            received: VecDeque::new(),
            has_fin: false,
            is_fin_taken: false,
            read_end: false,
            write_end: false,
            ended_first: false,
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

impl Socket {
    pub(crate) fn new(is_v6: bool, state: State) -> Self {
        Self {
            handles: 1,
            is_v6,
            local: None,
            has_port: false,
            is_port_chosen: false,
            is_ip_chosen: false,
            reuse: false,
            only_v6: false,
            state,
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
        let mut sockets = self.sockets.iter();
        let found = sockets.find(|(id, socket)| {
            let is_bound_to_it = socket.local.is_some_and(|local| reaches(local, to));
            let is_bound_to_it = is_bound_to_it && socket.has_family_of(to);
            let listens = matches!(socket.state, State::Listening(_));
            listens && is_bound_to_it && self.lan.host_of(**id) == host
        });
        found.map(|(id, _)| *id)
    }

    pub(super) fn tcp_listen(&mut self, id: SocketId, backlog: u32) -> Result<(), Errno> {
        let socket = self.sockets.get(&id).ok_or(libc::EBADF)?;
        if let State::Stream(_) = socket.state {
            return Err(libc::EINVAL);
        }
        let local = self.bind_to_any_port(id)?;
        let host = self.lan.host_of(id);
        let socket = self.sockets.get(&id).ok_or(libc::EBADF)?;
        let clashes = |(other_id, other): (&SocketId, &Socket)| {
            let overlaps = other.bound().is_some_and(|at| {
                overlaps(local, at) && socket.has_family_of(at) && other.has_family_of(local)
            });
            let is_another = *other_id != id && self.lan.host_of(*other_id) == host;
            is_another && matches!(other.state, State::Listening(_)) && overlaps
        };
        if self.sockets.iter().any(clashes) {
            return Err(libc::EADDRINUSE);
        }
        // Linux lets one connection more wait than asked for.
        let backlog = backlog as usize + 1;
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        if let State::Listening(listener) = &mut socket.state {
            listener.backlog = backlog;
        } else {
            socket.state = State::Listening(Listener::new(backlog));
        }
        self.changed(id);
        Ok(())
    }

    pub(super) fn tcp_connect(&mut self, id: SocketId, to: SocketAddr) -> Result<(), Errno> {
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        match &mut socket.state {
            State::New => {}
            State::Stream(stream) if !stream.is_known => match stream.phase {
                Phase::Connecting => return Err(libc::EALREADY),
                Phase::Open => {
                    stream.is_known = true;
                    return Ok(());
                }
                Phase::Closed => {
                    // The outcome, and the next call connects again.
                    socket.state = State::New;
                    return Err(socket.error.take().unwrap_or(libc::ECONNABORTED));
                }
            },
            _ => return Err(libc::EISCONN),
        }
        check_family(socket.is_v6, to)?;
        check_only_v6(socket, to)?;
        check_one_host(to)?;
        let to = target(to);
        self.bind_for(id, to)?;
        if let Some(socket) = self.sockets.get_mut(&id) {
            // The peer is known when the packet arrives.
            socket.state = State::Stream(Stream::new(0, to, Phase::Connecting));
        }
        let (client, tries) = (id, 0);
        self.send(id, Delivery::Syn { client, to, tries });
        Err(libc::EINPROGRESS)
    }

    /// Returns whether this is a listener without a connection in its queue.
    pub(crate) fn is_queue_empty(&self, id: SocketId) -> bool {
        match self.sockets.get(&id).map(|socket| &socket.state) {
            Some(State::Listening(listener)) => listener.queue.is_empty(),
            _ => false,
        }
    }

    /// Takes the first connection out of the queue.
    pub(super) fn tcp_accept(&mut self, id: SocketId) -> Result<(SocketId, SocketAddr), Errno> {
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        let State::Listening(listener) = &mut socket.state else {
            return Err(libc::EINVAL);
        };
        let accepted = listener.queue.pop_front().ok_or(libc::EAGAIN)?;
        let stream = self.stream(accepted).ok_or(libc::ECONNABORTED)?;
        stream.listener = None;
        Ok((accepted, stream.peer_addr))
    }

    pub(super) fn tcp_recv(
        &mut self,
        id: SocketId,
        bufs: &mut [IoSliceMut<'_>],
        peek: bool,
    ) -> Result<usize, Errno> {
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        let (has_bytes, has_fin) = match &socket.state {
            State::Stream(stream) => (!stream.received.is_empty(), stream.has_fin),
            _ => (false, false),
        };
        // After a FIN, an error is left to a send.
        if !has_bytes
            && !has_fin
            && let Some(error) = socket.error.take()
        {
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
        let count = scatter(&stream.received, bufs);
        if peek {
            return Ok(count);
        }
        stream.received.drain(..count);
        let peer = stream.peer;
        if count > 0 {
            self.send(peer, Delivery::Taken { by: peer, count });
        }
        Ok(count)
    }

    /// Sends as much of `bytes` as there is room for, at most `limit` bytes. They are the first of `len`
    /// bytes; less than all of these causes an event later.
    pub(super) fn tcp_send(
        &mut self,
        id: SocketId,
        mut bytes: Vec<u8>,
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
            bytes.truncate(count);
            // A large buffer of which little is sent would stay as large in flight.
            bytes.shrink_to(2 * count);
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

    /// Lets bytes arrive in pieces, at different times.
    fn send_in_pieces(&mut self, to: SocketId, mut bytes: Vec<u8>) {
        let stream = ("pieces", to);
        while bytes.len() > 1 && self.faults.short(&mut self.choices, stream) {
            let at = 1 + self.choices.choose(stream, bytes.len() as u32 - 1) as usize;
            let rest = bytes.split_off(at);
            self.send(to, Delivery::Bytes { to, bytes });
            bytes = rest;
        }
        self.send(to, Delivery::Bytes { to, bytes });
    }

    pub(super) fn tcp_shutdown(&mut self, id: SocketId, how: Shutdown) -> Result<(), Errno> {
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        match &mut socket.state {
            State::Listening(listener) => {
                if how != Shutdown::Write {
                    let queue = std::mem::take(&mut listener.queue);
                    socket.state = State::New;
                    self.release_port(id);
                    self.reset_all(queue);
                }
            }
            State::Stream(stream) => match stream.phase {
                Phase::Connecting => {
                    socket.state = State::New;
                    socket.error = Some(libc::ECONNRESET);
                    self.release_port(id);
                }
                Phase::Open => {
                    stream.is_known = true;
                    stream.read_end |= how != Shutdown::Write;
                    if how != Shutdown::Read {
                        self.end(id);
                    }
                }
                Phase::Closed => return Err(libc::ENOTCONN),
            },
            _ => return Err(libc::ENOTCONN),
        }
        self.changed(id);
        Ok(())
    }

    /// Sends the FIN of a stream, if it was not sent before.
    fn end(&mut self, id: SocketId) {
        if let Some(stream) = self.stream(id)
            && !stream.write_end
        {
            stream.write_end = true;
            stream.ended_first = !stream.has_fin;
            let peer = stream.peer;
            self.send(peer, Delivery::Fin { to: peer });
        }
    }

    /// Resets the connections of a queue that nothing accepts any more.
    fn reset_all(&mut self, queue: VecDeque<SocketId>) {
        for waiting in queue {
            self.reset_peer(waiting, libc::ECONNRESET);
            self.sockets.remove(&waiting);
        }
    }

    pub(super) fn tcp_peer_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        match &self.sockets.get(&id).ok_or(libc::EBADF)?.state {
            State::Stream(stream) if stream.phase == Phase::Open => Ok(stream.peer_addr),
            _ => Err(libc::ENOTCONN),
        }
    }

    /// Closes the last descriptor of a socket.
    pub(super) fn tcp_close(&mut self, id: SocketId, zero_linger: bool) {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        match &mut socket.state {
            State::Listening(listener) => {
                let queue = std::mem::take(&mut listener.queue);
                self.sockets.remove(&id);
                self.reset_all(queue);
            }
            State::Stream(stream) if stream.phase == Phase::Open => {
                stream.read_end = true;
                if zero_linger || !stream.received.is_empty() {
                    self.reset_peer(id, libc::ECONNRESET);
                    self.sockets.remove(&id);
                    return;
                }
                let is_over = stream.has_fin;
                self.end(id);
                if is_over {
                    self.sockets.remove(&id);
                }
            }
            _ => {
                self.sockets.remove(&id);
            }
        }
    }
}
