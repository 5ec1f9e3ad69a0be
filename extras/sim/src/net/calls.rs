//! A call on a socket, whatever kind it is of.
//!
//! Called by `world` with a descriptor's socket; calls `tcp`, `udp` and `unix`. An address of another family is
//! refused here.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut, Read as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;

use socket2::{Domain, Type};
use wakeful::kernel::{Address, Inspected};

use super::ip::{local_of, shown};
use super::tcp::{CAPACITY, Socket, State};
use super::udp::Udp;
use super::unix::{Name, Unix, address_of};
use super::{Errno, Net, SocketId};

/// Bytes that one send moves at most, apart from those that make a datagram too long.
pub(crate) const MAX_SENT: usize = 256 * 1024;

/// Copies the bytes of several buffers, as many as one send moves.
pub(crate) fn gather(bufs: &[IoSlice<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for buf in bufs {
        let room = MAX_SENT - bytes.len();
        bytes.extend_from_slice(&buf[..buf.len().min(room)]);
    }
    bytes
}

/// Creates the real socket of a connection that is accepted.
pub(crate) fn new_real_socket(domain: Domain) -> io::Result<OwnedFd> {
    let kind = Type::STREAM.nonblocking().cloexec();
    socket2::Socket::new_raw(domain, kind, None).map(OwnedFd::from)
}

/// Copies the first bytes of a queue into several buffers, one after another. Returns their number.
pub(super) fn scatter(queue: &VecDeque<u8>, bufs: &mut [IoSliceMut<'_>]) -> usize {
    let (front, back) = queue.as_slices();
    let mut bytes = front.chain(back);
    let mut count = 0;
    for buf in bufs {
        let len = buf.len().min(queue.len() - count);
        // A failure is ignored, because so many bytes are there.
        bytes.read_exact(&mut buf[..len]).ok();
        count += len;
    }
    count
}

/// What answers a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Udp,
    UnixStream,
    UnixDatagram,
}

impl Socket {
    /// Creates the socket for a descriptor, if the simulation has such sockets.
    pub(crate) fn for_kind(domain: Domain, kind: socket2::Type) -> Option<Self> {
        let is_v6 = domain == Domain::IPV6;
        let is_stream = kind == socket2::Type::STREAM;
        if !is_stream && kind != socket2::Type::DGRAM {
            return None;
        }
        let state = match domain {
            Domain::IPV4 | Domain::IPV6 if is_stream => State::New,
            Domain::IPV4 | Domain::IPV6 => State::Udp(Udp::default()),
            Domain::UNIX => State::Unix(Unix::new(is_stream)),
            _ => return None,
        };
        Some(Self::new(is_v6, state))
    }

    /// Returns the family of the real socket that belongs to it.
    fn domain(&self) -> Domain {
        match self.state {
            State::Unix(_) => Domain::UNIX,
            _ if self.is_v6 => Domain::IPV6,
            _ => Domain::IPV4,
        }
    }

    pub(super) fn is_udp(&self) -> bool {
        self.kind() == Kind::Udp
    }

    fn listens(&self) -> bool {
        match &self.state {
            State::Listening(_) => true,
            State::Unix(unix) => unix.listens(),
            _ => false,
        }
    }

    fn kind(&self) -> Kind {
        match &self.state {
            State::New | State::Listening(_) | State::Stream(_) => Kind::Tcp,
            State::Udp(_) => Kind::Udp,
            State::Unix(unix) if unix.is_stream => Kind::UnixStream,
            State::Unix(_) => Kind::UnixDatagram,
        }
    }
}

impl Net {
    fn kind(&self, id: SocketId) -> Result<Kind, Errno> {
        self.sockets.get(&id).map(Socket::kind).ok_or(libc::EBADF)
    }

    /// Returns the family of a socket.
    pub(crate) fn domain(&self, id: SocketId) -> Result<Domain, Errno> {
        self.sockets.get(&id).map(Socket::domain).ok_or(libc::EBADF)
    }

    /// Binds a socket. `reuse` is its `SO_REUSEADDR`.
    pub(crate) fn bind(&mut self, id: SocketId, to: &Address, reuse: bool) -> Result<(), Errno> {
        match (self.kind(id)?, to) {
            (Kind::Tcp | Kind::Udp, Address::Ip(ip)) => self.ip_bind(id, *ip, reuse),
            (Kind::Tcp | Kind::Udp, _) => Err(libc::EAFNOSUPPORT),
            (_, Address::Unix(unix)) => self.unix_bind(id, Name::of(unix)),
            _ => Err(libc::EINVAL),
        }
    }

    pub(crate) fn listen(&mut self, id: SocketId, backlog: u32) -> Result<(), Errno> {
        match self.kind(id)? {
            Kind::Tcp => self.tcp_listen(id, backlog),
            Kind::UnixStream => self.unix_listen(id, backlog),
            Kind::Udp | Kind::UnixDatagram => Err(libc::EOPNOTSUPP),
        }
    }

    pub(crate) fn connect(&mut self, id: SocketId, to: &Address) -> Result<(), Errno> {
        match (self.kind(id)?, to) {
            (Kind::Tcp, Address::Ip(ip)) => self.tcp_connect(id, *ip),
            (Kind::Udp, Address::Ip(ip)) => self.udp_connect(id, *ip),
            (Kind::Tcp | Kind::Udp, _) => Err(libc::EAFNOSUPPORT),
            (Kind::UnixStream, Address::Unix(unix)) => self.unix_connect(id, Name::of(unix)),
            (Kind::UnixDatagram, Address::Unix(unix)) => {
                self.unix_connect_datagram(id, Name::of(unix))
            }
            _ => Err(libc::EINVAL),
        }
    }

    /// Takes the first connection out of the queue.
    pub(crate) fn accept(&mut self, id: SocketId) -> Result<(SocketId, Address), Errno> {
        match self.kind(id)? {
            Kind::Tcp => {
                let (accepted, peer) = self.tcp_accept(id)?;
                let is_v6 = self.sockets.get(&id).is_some_and(|socket| socket.is_v6);
                Ok((accepted, Address::Ip(shown(is_v6, peer))))
            }
            Kind::UnixStream => {
                let (accepted, peer) = self.unix_accept(id)?;
                Ok((accepted, address_of(peer.as_ref())?))
            }
            Kind::Udp | Kind::UnixDatagram => Err(libc::EOPNOTSUPP),
        }
    }

    pub(crate) fn recv(
        &mut self,
        id: SocketId,
        bufs: &mut [IoSliceMut<'_>],
        peek: bool,
    ) -> Result<usize, Errno> {
        match self.kind(id)? {
            Kind::Tcp => self.tcp_recv(id, bufs, peek),
            Kind::UnixStream => self.unix_recv(id, bufs, peek),
            Kind::Udp | Kind::UnixDatagram => {
                let (bytes, _) = self.datagram(id, peek)?;
                Ok(scatter(&bytes.into(), bufs))
            }
        }
    }

    pub(crate) fn recv_from(
        &mut self,
        id: SocketId,
        buf: &mut [u8],
        peek: bool,
    ) -> Result<(usize, Address), Errno> {
        let (bytes, from) = self.datagram(id, peek)?;
        let count = bytes.len().min(buf.len());
        buf[..count].copy_from_slice(&bytes[..count]);
        Ok((count, from))
    }

    /// Returns the next datagram and its sender. What does not fit into the receiver's buffer is lost.
    fn datagram(&mut self, id: SocketId, peek: bool) -> Result<(Vec<u8>, Address), Errno> {
        match self.kind(id)? {
            Kind::Udp => {
                let (bytes, from) = self.udp_recv(id, peek)?;
                let is_v6 = self.sockets.get(&id).is_some_and(|socket| socket.is_v6);
                Ok((bytes, Address::Ip(shown(is_v6, from))))
            }
            Kind::UnixDatagram => {
                let (bytes, from) = self.unix_recv_datagram(id, peek)?;
                Ok((bytes, address_of(from.as_ref())?))
            }
            Kind::Tcp | Kind::UnixStream => Err(libc::EOPNOTSUPP),
        }
    }

    /// Sends bytes of a stream, or a datagram to the connected peer. `bytes` are the first of `len`.
    pub(crate) fn send_bytes(
        &mut self,
        id: SocketId,
        bytes: Vec<u8>,
        len: usize,
    ) -> Result<usize, Errno> {
        match self.kind(id)? {
            Kind::Tcp => {
                let limit = self.limit(id, len.min(CAPACITY));
                self.tcp_send(id, bytes, len, limit)
            }
            Kind::UnixStream => {
                let limit = self.limit(id, len.min(MAX_SENT));
                self.unix_send(id, &bytes, len, limit)
            }
            Kind::Udp => self.udp_send(id, bytes, len, None),
            Kind::UnixDatagram => self.unix_send_datagram(id, bytes, len, None),
        }
    }

    pub(crate) fn send_to(
        &mut self,
        id: SocketId,
        bytes: Vec<u8>,
        len: usize,
        to: &Address,
    ) -> Result<usize, Errno> {
        match (self.kind(id)?, to) {
            (Kind::Udp, Address::Ip(ip)) => self.udp_send(id, bytes, len, Some(*ip)),
            (Kind::UnixDatagram, Address::Unix(unix)) => {
                self.unix_send_datagram(id, bytes, len, Some(Name::of(unix)))
            }
            (Kind::Udp, _) => Err(libc::EAFNOSUPPORT),
            _ => Err(libc::EINVAL),
        }
    }

    /// Returns how many bytes of `len` a send of a stream moves at most, which a fault decides.
    fn limit(&mut self, id: SocketId, len: usize) -> usize {
        let stream = ("send", id);
        if len > 1 && self.faults.short(&mut self.choices, stream) {
            1 + self.choices.choose(stream, len as u32 - 1) as usize
        } else {
            usize::MAX
        }
    }

    pub(crate) fn shutdown(&mut self, id: SocketId, how: Shutdown) -> Result<(), Errno> {
        match self.kind(id)? {
            Kind::Tcp => self.tcp_shutdown(id, how),
            Kind::Udp => self.udp_shutdown(id, how),
            Kind::UnixStream | Kind::UnixDatagram => self.unix_shutdown(id, how),
        }
    }

    /// Returns the address of this end.
    pub(crate) fn local_addr(&self, id: SocketId) -> Result<Address, Errno> {
        let socket = self.sockets.get(&id).ok_or(libc::EBADF)?;
        match &socket.state {
            State::Unix(unix) => address_of(unix.name.as_ref()),
            _ => Ok(Address::Ip(local_of(socket))),
        }
    }

    pub(crate) fn peer_addr(&self, id: SocketId) -> Result<Address, Errno> {
        let socket = self.sockets.get(&id).ok_or(libc::EBADF)?;
        let ip = match &socket.state {
            State::Unix(unix) => return address_of(unix.peer_name()?),
            State::Udp(udp) => udp.peer.ok_or(libc::ENOTCONN)?,
            _ => self.tcp_peer_addr(id)?,
        };
        Ok(Address::Ip(shown(socket.is_v6, ip)))
    }

    /// Returns what a dump says about a socket.
    pub(crate) fn inspect(&self, id: SocketId) -> Inspected {
        let mut inspected = Inspected::default();
        inspected.listens = self.sockets.get(&id).is_some_and(Socket::listens);
        inspected.local = self.local_addr(id).ok();
        inspected.peer = self.peer_addr(id).ok();
        inspected
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
        self.unwatch_all(id);
        match self.kind(id) {
            Ok(Kind::Tcp) => self.tcp_close(id, zero_linger),
            Ok(Kind::UnixStream | Kind::UnixDatagram) => self.unix_close(id),
            _ => {
                self.sockets.remove(&id);
            }
        }
    }
}
