//! Unix streams: connections, and bytes.
//!
//! ```text
//!   connect --- a listener with that name?  yes: its queue, event for reading --> accept
//!                 | no: ENOENT, ECONNREFUSED       | its queue is full: EAGAIN
//!   send ------ received by the peer, event for reading --> recv
//!   close ----- both directions of the peer end; ECONNRESET there if bytes were not received
//! ```
//!
//! A client is connected before it is accepted.

use std::io::IoSliceMut;

use super::super::calls::scatter;
use super::super::tcp::{Listener, Socket, State};
use super::super::{Delivery, Errno, Net, SocketId};
use super::{Name, SEND_BUFFER, Unix};

impl Net {
    pub(in crate::net) fn unix_listen(&mut self, id: SocketId, backlog: u32) -> Result<(), Errno> {
        let unix = self.unix_mut(id).ok_or(libc::EBADF)?;
        if unix.name.is_none() || unix.peer.is_some() {
            return Err(libc::EINVAL);
        }
        // Linux lets one connection more wait than asked for.
        let backlog = backlog as usize + 1;
        match &mut unix.listener {
            Some(listener) => listener.backlog = backlog,
            None => unix.listener = Some(Listener::new(backlog)),
        }
        Ok(())
    }

    pub(in crate::net) fn unix_connect(
        &mut self,
        id: SocketId,
        to: Option<Name>,
    ) -> Result<(), Errno> {
        let to = to.ok_or(libc::EINVAL)?;
        let found = self.named(&to, true)?;
        let client = self.unix(id).ok_or(libc::EBADF)?;
        let target = self.unix(found).filter(|target| !target.read_end);
        let listener = target.and_then(|target| target.listener.as_ref());
        let listener = listener.ok_or(libc::ECONNREFUSED)?;
        if listener.queue.len() >= listener.backlog {
            return Err(libc::EAGAIN);
        }
        if client.peer.is_some() {
            return Err(libc::EISCONN);
        }
        if client.listener.is_some() {
            return Err(libc::EINVAL);
        }
        let mut server = Unix::new(true);
        server.name = Some(to.clone());
        server.peer = Some((id, client.name.clone()));
        let mut socket = Socket::new(false, State::Unix(server));
        socket.handles = 0;
        let server = self.insert(socket);
        if let Some(client) = self.unix_mut(id) {
            client.peer = Some((server, Some(to)));
        }
        if let Some(unix) = self.unix_mut(found)
            && let Some(listener) = &mut unix.listener
        {
            listener.queue.push_back(server);
        }
        self.note("arrived", found, server as i64);
        self.changed(found);
        self.changed(id);
        Ok(())
    }

    /// Takes the first connection out of the queue.
    pub(in crate::net) fn unix_accept(
        &mut self,
        id: SocketId,
    ) -> Result<(SocketId, Option<Name>), Errno> {
        let unix = self.unix_mut(id).ok_or(libc::EBADF)?;
        let listener = unix.listener.as_mut().ok_or(libc::EINVAL)?;
        let accepted = listener.queue.pop_front().ok_or(libc::EAGAIN)?;
        let unix = self.unix(accepted).ok_or(libc::ECONNABORTED)?;
        Ok((accepted, unix.peer_name()?.cloned()))
    }

    pub(in crate::net) fn unix_recv(
        &mut self,
        id: SocketId,
        bufs: &mut [IoSliceMut<'_>],
        peek: bool,
    ) -> Result<usize, Errno> {
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        let State::Unix(unix) = &mut socket.state else {
            return Err(libc::EBADF);
        };
        let Some(peer) = unix.peer_id() else {
            return Err(libc::EINVAL);
        };
        if unix.bytes.is_empty() {
            return match socket.error.take() {
                Some(error) => Err(error),
                None if unix.read_end => Ok(0),
                None => Err(libc::EAGAIN),
            };
        }
        let count = scatter(&unix.bytes, bufs);
        if peek {
            return Ok(count);
        }
        unix.bytes.drain(..count);
        self.unix_taken(peer, count);
        Ok(count)
    }

    /// Sends as much of `bytes` as there is room for, at most `limit` bytes. They are the first of `len`
    /// bytes; less than all of these causes an event later.
    pub(in crate::net) fn unix_send(
        &mut self,
        id: SocketId,
        bytes: &[u8],
        len: usize,
        limit: usize,
    ) -> Result<usize, Errno> {
        let unix = self.unix_mut(id).ok_or(libc::EBADF)?;
        let peer = unix.peer_id().ok_or(libc::ENOTCONN)?;
        if unix.write_end {
            return Err(libc::EPIPE);
        }
        let room = SEND_BUFFER.saturating_sub(unix.sent);
        let count = bytes.len().min(room).min(limit);
        let is_cut = count < len;
        unix.sent += count;
        unix.found_no_room |= is_cut;
        if count > 0
            && let Some(receiver) = self.unix_mut(peer)
        {
            receiver.bytes.extend(&bytes[..count]);
            self.note("bytes", peer, count as i64);
            self.changed(peer);
        }
        if is_cut && count >= limit {
            // Room that a fault has hidden appears again.
            self.send(id, Delivery::Again { socket: id });
        }
        if is_cut && count == 0 {
            return Err(libc::EAGAIN);
        }
        Ok(count)
    }

    /// Ends both directions of a stream whose peer has closed, with an error if bytes were lost.
    pub(super) fn unix_peer_closed(&mut self, id: SocketId, is_reset: bool) {
        let Some(unix) = self.unix_mut(id) else {
            return;
        };
        unix.read_end = true;
        unix.write_end = true;
        if is_reset && let Some(socket) = self.sockets.get_mut(&id) {
            socket.error = Some(libc::ECONNRESET);
        }
        self.changed(id);
    }

    /// Ends a connection that was not accepted.
    pub(super) fn unix_abandon(&mut self, waiting: SocketId) {
        let Some(unix) = self.unix(waiting) else {
            return;
        };
        let (client, count) = (unix.peer_id(), unix.bytes.len());
        self.sockets.remove(&waiting);
        if let Some(client) = client {
            self.unix_peer_closed(client, true);
            self.unix_taken(client, count);
        }
    }
}
