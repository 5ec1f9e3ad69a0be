//! Unix sockets: names, and what streams and datagrams have in common.
//!
//! ```text
//!   stream      connections: bytes
//!   datagram    datagrams, to a name or to the connected peer
//! ```
//!
//! Nothing is in flight. As in Linux, a call changes the other socket at once.
//!
//! **A path is a name only: no file is created.** Like a file, it stays when its socket has closed: connecting to
//! it is refused. It can be bound again, as if the program had removed the file, because the simulation does not
//! see that.
//!
//! Sources: unix(7), socketpair(2); `net/unix/af_unix.c` in Linux.

mod datagram;
mod stream;

use std::collections::VecDeque;
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::{Path, PathBuf};

use wakeful::kernel::Address;

use super::epoll::{HUP, IN, OUT, RDHUP};
use super::tcp::{Listener, Socket, State};
use super::{Errno, Net, SocketId};
use datagram::Datagram;

/// Bytes of a sender that nothing has received, at most: `net.core.wmem_default`. `SO_SNDBUF` is not read.
const SEND_BUFFER: usize = 212_992;

/// A path, or a name in the abstract namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Path(PathBuf),
    Abstract(Vec<u8>),
}

impl Name {
    /// Returns the name in an address, `None` for an unnamed one.
    pub(super) fn of(address: &UnixAddr) -> Option<Self> {
        match (address.as_pathname(), address.as_abstract_name()) {
            (Some(path), _) => Some(Self::Path(path.to_owned())),
            (None, Some(name)) => Some(Self::Abstract(name.to_owned())),
            (None, None) => None,
        }
    }
}

/// Returns the address with a name.
pub(super) fn address_of(name: Option<&Name>) -> Result<Address, Errno> {
    let address = match name {
        Some(Name::Path(path)) => UnixAddr::from_pathname(path),
        Some(Name::Abstract(name)) => UnixAddr::from_abstract_name(name),
        None => UnixAddr::from_pathname(""),
    };
    address.map(Address::Unix).map_err(|_too_long| libc::EINVAL)
}

/// A Unix socket.
#[derive(Debug)]
pub(crate) struct Unix {
    pub(super) is_stream: bool,
    pub(super) name: Option<Name>,
    /// Whether others find the socket under its name. An accepted socket only shows that of its listener.
    is_bound: bool,
    /// The socket that it is connected to, which can be closed, with its name.
    peer: Option<(SocketId, Option<Name>)>,
    listener: Option<Listener>,
    /// Received bytes of a stream.
    bytes: VecDeque<u8>,
    /// Received datagrams.
    datagrams: VecDeque<Datagram>,
    read_end: bool,
    write_end: bool,
    /// What was sent and not received takes up so much.
    sent: usize,
    /// Set by a send that found less room than it asked for. Then an event is due.
    pub(super) found_no_room: bool,
}

impl Unix {
    pub(super) fn new(is_stream: bool) -> Self {
        Self {
            is_stream,
            name: None,
            is_bound: false,
            peer: None,
            listener: None,
            bytes: VecDeque::new(),
            datagrams: VecDeque::new(),
            read_end: false,
            write_end: false,
            sent: 0,
            found_no_room: false,
        }
    }

    pub(super) fn peer_name(&self) -> Result<Option<&Name>, Errno> {
        let (_, name) = self.peer.as_ref().ok_or(libc::ENOTCONN)?;
        Ok(name.as_ref())
    }

    pub(super) fn listens(&self) -> bool {
        self.listener.is_some()
    }

    fn peer_id(&self) -> Option<SocketId> {
        self.peer.as_ref().map(|(id, _)| *id)
    }

    /// Linux reports room when three quarters of the buffer are free.
    fn has_room_for_event(&self) -> bool {
        self.sent * 4 <= SEND_BUFFER
    }

    /// Returns the flags, without those that depend on the peer.
    pub(super) fn flags(&self) -> u32 {
        let mut flags = 0;
        if let Some(listener) = &self.listener {
            if !listener.queue.is_empty() {
                flags |= IN;
            }
        } else if self.has_room_for_event() {
            flags |= OUT;
        }
        if self.read_end {
            flags |= IN | RDHUP;
        }
        if !self.bytes.is_empty() || !self.datagrams.is_empty() {
            flags |= IN;
        }
        let is_unconnected = self.is_stream && self.peer.is_none() && self.listener.is_none();
        if is_unconnected || (self.read_end && self.write_end) {
            flags |= HUP;
        }
        flags
    }
}

impl Net {
    fn unix(&self, id: SocketId) -> Option<&Unix> {
        match &self.sockets.get(&id)?.state {
            State::Unix(unix) => Some(unix),
            _ => None,
        }
    }

    fn unix_mut(&mut self, id: SocketId) -> Option<&mut Unix> {
        match &mut self.sockets.get_mut(&id)?.state {
            State::Unix(unix) => Some(unix),
            _ => None,
        }
    }

    /// Returns whether a Unix socket of the running host was bound to a path.
    fn has_path(&self, path: &Path) -> bool {
        let host = self.lan.running;
        self.paths
            .iter()
            .any(|(of, bound)| *of == host && bound == path)
    }

    /// Returns the socket that a name leads to, on the running host.
    fn named(&self, name: &Name, is_stream: bool) -> Result<SocketId, Errno> {
        let is_it = |socket: &Socket, any_kind: bool| match &socket.state {
            State::Unix(unix) => {
                let is_kind = any_kind || unix.is_stream == is_stream;
                unix.is_bound && is_kind && unix.name.as_ref() == Some(name)
            }
            _ => false,
        };
        let find = |any_kind| {
            let mut sockets = self.sockets.iter();
            sockets.find(|(id, socket)| {
                self.lan.host_of(**id) == self.lan.running && is_it(socket, any_kind)
            })
        };
        match (find(false), name) {
            (Some((id, _)), _) => Ok(*id),
            // Streams and datagrams have abstract names of their own.
            (None, Name::Abstract(_)) => Err(libc::ECONNREFUSED),
            (None, Name::Path(_)) if find(true).is_some() => Err(libc::EPROTOTYPE),
            (None, Name::Path(path)) if self.has_path(path) => Err(libc::ECONNREFUSED),
            (None, Name::Path(_)) => Err(libc::ENOENT),
        }
    }

    pub(super) fn unix_bind(&mut self, id: SocketId, name: Option<Name>) -> Result<(), Errno> {
        // Linux would choose a name. Nothing here binds to none.
        let name = name.ok_or(libc::EINVAL)?;
        let unix = self.unix(id).ok_or(libc::EBADF)?;
        if unix.name.is_some() {
            return Err(libc::EINVAL);
        }
        if matches!(
            self.named(&name, unix.is_stream),
            Ok(_) | Err(libc::EPROTOTYPE)
        ) {
            return Err(libc::EADDRINUSE);
        }
        if let Name::Path(path) = &name {
            self.paths.insert((self.lan.running, path.clone()));
        }
        if let Some(unix) = self.unix_mut(id) {
            unix.name = Some(name);
            unix.is_bound = true;
        }
        Ok(())
    }

    /// Connects two sockets to each other. See socketpair(2).
    pub(crate) fn unix_pair(&mut self, near: SocketId, far: SocketId) {
        for (id, peer) in [(near, far), (far, near)] {
            if let Some(unix) = self.unix_mut(id) {
                unix.peer = Some((peer, None));
            }
        }
    }

    pub(super) fn unix_shutdown(&mut self, id: SocketId, how: Shutdown) -> Result<(), Errno> {
        let unix = self.unix_mut(id).ok_or(libc::EBADF)?;
        unix.read_end |= how != Shutdown::Write;
        unix.write_end |= how != Shutdown::Read;
        let peer = unix.peer_id().filter(|_| unix.is_stream);
        self.changed(id);
        if let Some(peer) = peer
            && let Some(unix) = self.unix_mut(peer)
        {
            unix.write_end |= how != Shutdown::Write;
            unix.read_end |= how != Shutdown::Read;
            self.changed(peer);
        }
        Ok(())
    }

    /// Subtracts what was received from what its sender has sent. If the sender waits for room and has it
    /// now, that is an event.
    fn unix_taken(&mut self, sender: SocketId, count: usize) {
        let Some(unix) = self.unix_mut(sender) else {
            return;
        };
        unix.sent -= count;
        if unix.found_no_room && unix.has_room_for_event() {
            unix.found_no_room = false;
            self.changed(sender);
        }
    }

    /// Closes the last descriptor of a socket.
    pub(super) fn unix_close(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.remove(&id) else {
            return;
        };
        let State::Unix(mut unix) = socket.state else {
            return;
        };
        if let Some(listener) = &mut unix.listener {
            for waiting in std::mem::take(&mut listener.queue) {
                self.unix_abandon(waiting);
            }
        }
        if unix.is_stream {
            if let Some(peer) = unix.peer_id() {
                self.unix_peer_closed(peer, !unix.bytes.is_empty());
                self.unix_taken(peer, unix.bytes.len());
            }
        } else {
            self.unix_datagrams_dropped(id, unix.datagrams);
        }
    }
}
