//! Unix datagrams: to a name, or to the connected peer.
//!
//! ```text
//!   send --- the receiver's queue, event for reading --> recv
//!              | full, or the sender's buffer is: EAGAIN, and an event when the receiver has taken one, if the
//!              | sender is connected to it
//! ```
//!
//! Nothing is lost: a sender waits. A receiver that is connected gets datagrams from its peer only.

use std::collections::VecDeque;

use super::super::tcp::State;
use super::super::{Errno, Net, SocketId};
use super::{Name, SEND_BUFFER};

/// Datagrams that wait at a receiver, one more than `net.unix.max_dgram_qlen`. Two sockets that are connected to
/// each other have no such limit.
const LONGEST_QUEUE: usize = 11;

/// What Linux counts for a datagram in addition to its bytes.
const OVERHEAD: usize = 832;

/// A received datagram.
#[derive(Debug)]
pub(super) struct Datagram {
    bytes: Vec<u8>,
    sender: SocketId,
    name: Option<Name>,
}

impl Datagram {
    fn size(&self) -> usize {
        self.bytes.len() + OVERHEAD
    }
}

impl Net {
    /// Returns whether one socket may send to another.
    fn unix_may_send(&self, id: SocketId, to: SocketId) -> bool {
        let peer = self.unix(to).and_then(super::Unix::peer_id);
        peer.is_none_or(|peer| peer == id)
    }

    pub(in crate::net) fn unix_connect_datagram(
        &mut self,
        id: SocketId,
        to: Option<Name>,
    ) -> Result<(), Errno> {
        let to = to.ok_or(libc::EINVAL)?;
        let found = self.named(&to, false)?;
        if !self.unix_may_send(id, found) {
            return Err(libc::EPERM);
        }
        let unix = self.unix_mut(id).ok_or(libc::EBADF)?;
        let before = unix.peer.replace((found, Some(to)));
        if let Some((before, _)) = before
            && before != found
        {
            self.unix_disconnected(id, before);
        }
        self.changed(id);
        Ok(())
    }

    /// Drops what a socket has received from its former peer, which gets an error if it is still connected.
    fn unix_disconnected(&mut self, id: SocketId, before: SocketId) {
        if let Some(unix) = self.unix_mut(id) {
            let dropped = std::mem::take(&mut unix.datagrams);
            self.unix_datagrams_dropped(id, dropped);
        }
        let is_connected = self.unix(before).and_then(super::Unix::peer_id) == Some(id);
        if is_connected && let Some(socket) = self.sockets.get_mut(&before) {
            socket.error = Some(libc::ECONNRESET);
            self.changed(before);
        }
    }

    /// Returns the peer of a socket that sends, or its error. Linux looks at these before it looks a name up.
    fn unix_check_sender(
        &mut self,
        id: SocketId,
        len: usize,
        named: bool,
    ) -> Result<Option<SocketId>, Errno> {
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        let State::Unix(unix) = &mut socket.state else {
            return Err(libc::EBADF);
        };
        if !named && unix.peer.is_none() {
            return Err(libc::ENOTCONN);
        }
        if len > SEND_BUFFER - 32 {
            return Err(libc::EMSGSIZE);
        }
        if let Some(error) = socket.error.take() {
            return Err(error);
        }
        if unix.write_end {
            return Err(libc::EPIPE);
        }
        if unix.sent >= SEND_BUFFER {
            unix.found_no_room = true;
            return Err(libc::EAGAIN);
        }
        Ok(unix.peer_id())
    }

    pub(in crate::net) fn unix_send_datagram(
        &mut self,
        id: SocketId,
        bytes: Vec<u8>,
        len: usize,
        to: Option<Option<Name>>,
    ) -> Result<usize, Errno> {
        let named = to.is_some();
        let peer = self.unix_check_sender(id, len, named)?;
        let to = match (to, peer) {
            (Some(name), _) => self.named(&name.ok_or(libc::EINVAL)?, false)?,
            (None, Some(peer)) => peer,
            (None, None) => return Err(libc::ENOTCONN),
        };
        let Some(receiver) = self.unix(to) else {
            if !named && let Some(unix) = self.unix_mut(id) {
                // The first send to a peer that has closed. There is none afterwards.
                unix.peer = None;
            }
            return Err(libc::ECONNREFUSED);
        };
        if !self.unix_may_send(id, to) {
            return Err(libc::EPERM);
        }
        if receiver.read_end {
            return Err(libc::EPIPE);
        }
        if self.unix_is_full_for(id, to) {
            if let Some(unix) = self.unix_mut(id) {
                unix.found_no_room = true;
            }
            // Room in its own buffer is an event for the sender.
            self.changed(id);
            return Err(libc::EAGAIN);
        }
        let datagram = Datagram {
            bytes,
            sender: id,
            name: self.unix(id).and_then(|unix| unix.name.clone()),
        };
        let size = datagram.size();
        if let Some(receiver) = self.unix_mut(to) {
            receiver.datagrams.push_back(datagram);
        }
        if let Some(unix) = self.unix_mut(id) {
            unix.sent += size;
        }
        self.note("datagram", to, len as i64);
        self.changed(to);
        Ok(len)
    }

    /// Returns whether a receiver takes no more datagrams of a sender.
    fn unix_is_full_for(&self, sender: SocketId, receiver: SocketId) -> bool {
        self.unix(receiver).is_some_and(|unix| {
            let is_pair = unix.peer_id() == Some(sender);
            !is_pair && sender != receiver && unix.datagrams.len() >= LONGEST_QUEUE
        })
    }

    /// Returns whether the peer that a socket is connected to takes what it sends. Otherwise it is not writable.
    pub(in crate::net) fn has_peer_room(&self, id: SocketId) -> bool {
        let Some(unix) = self.unix(id) else {
            return true;
        };
        let peer = unix.peer_id();
        unix.is_stream || peer.is_none_or(|peer| !self.unix_is_full_for(id, peer))
    }

    pub(in crate::net) fn unix_recv_datagram(
        &mut self,
        id: SocketId,
        peek: bool,
    ) -> Result<(Vec<u8>, Option<Name>), Errno> {
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        let State::Unix(unix) = &mut socket.state else {
            return Err(libc::EBADF);
        };
        if let Some(error) = socket.error.take() {
            return Err(error);
        }
        let next = unix.datagrams.front().ok_or(libc::EAGAIN)?;
        let result = (next.bytes.clone(), next.name.clone());
        if !peek {
            let taken: VecDeque<_> = unix.datagrams.drain(..1).collect();
            self.unix_datagrams_dropped(id, taken);
        }
        Ok(result)
    }

    /// Gives the room of datagrams back that a receiver has taken or dropped. A sender that is connected to
    /// it and waits gets an event.
    pub(super) fn unix_datagrams_dropped(&mut self, id: SocketId, dropped: VecDeque<Datagram>) {
        for datagram in &dropped {
            self.unix_taken(datagram.sender, datagram.size());
        }
        let waits = |(sender, socket): (&SocketId, &super::Socket)| match &socket.state {
            State::Unix(unix) => {
                (unix.found_no_room && unix.peer_id() == Some(id)).then_some(*sender)
            }
            _ => None,
        };
        let waiting: Vec<SocketId> = self.sockets.iter().filter_map(waits).collect();
        for sender in waiting {
            if let Some(unix) = self.unix_mut(sender) {
                unix.found_no_room = !unix.has_room_for_event();
            }
            self.changed(sender);
        }
    }
}
