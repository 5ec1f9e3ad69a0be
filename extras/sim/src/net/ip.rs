//! Addresses of IP sockets: which of them are the same, and which are free.
//!
//! An address of IPv4 that is written as one of IPv6 is kept as one of IPv4. A socket for IPv6 that is bound
//! to all addresses is bound to those of IPv4 as well, and shows them in the form of IPv6, unless it is for IPv6 only.
//!
//! Sources: bind(2), ip(7), ipv6(7); socket(7) for `SO_REUSEADDR`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::hosts::HostId;
use super::tcp::{Phase, Socket, State};
use super::{Errno, Net, SocketId};

/// Returns the address in the form in which the simulation keeps it.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Returns the address in the form in which a socket shows it.
pub(super) fn shown(is_v6: bool, address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if is_v6 => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        _ => address,
    }
}

/// Returns what getsockname(2) answers: port 0 of all addresses before the socket is bound.
pub(super) fn local_of(socket: &Socket) -> SocketAddr {
    let unbound = if socket.is_v6 {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    };
    socket
        .local
        .map_or(unbound, |local| shown(socket.is_v6, local))
}

/// Checks that a TCP connection can have this peer: no group of hosts. See `tcp_v4_connect` in Linux'
/// `net/ipv4/tcp_ipv4.c`.
pub(super) fn check_one_host(to: SocketAddr) -> Result<(), Errno> {
    if to.ip().is_multicast() || to.ip() == Ipv4Addr::BROADCAST {
        return Err(libc::ENETUNREACH);
    }
    Ok(())
}

impl Socket {
    /// Returns whether the socket has addresses of the family of this one: one with `IPV6_V6ONLY` has none of IPv4.
    pub(super) fn has_family_of(&self, address: SocketAddr) -> bool {
        !(self.only_v6 && canonical(address).is_ipv4())
    }

    /// Returns the address that no other socket can have.
    pub(super) fn bound(&self) -> Option<SocketAddr> {
        self.local.filter(|_| self.has_port)
    }
}

/// Refuses an address that is not one of the socket's family.
pub(super) fn check_family(is_v6: bool, address: SocketAddr) -> Result<(), Errno> {
    match (is_v6, address) {
        (false, SocketAddr::V6(_)) => Err(libc::EAFNOSUPPORT),
        // An address of IPv4 is shorter than one of IPv6, which Linux looks at first.
        (true, SocketAddr::V4(_)) => Err(libc::EINVAL),
        _ => Ok(()),
    }
}

/// Refuses an address of IPv4 as the peer of a socket with `IPV6_V6ONLY`.
pub(super) fn check_only_v6(socket: &Socket, to: SocketAddr) -> Result<(), Errno> {
    if socket.has_family_of(to) {
        Ok(())
    } else {
        Err(libc::ENETUNREACH)
    }
}

/// Returns the address that is meant by `to`: the unspecified one is this host.
pub(super) fn target(to: SocketAddr) -> SocketAddr {
    let ip = match canonical(to).ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, to.port())
}

/// Returns the address that packets to `to` are sent from.
pub(super) fn source(to: SocketAddr) -> IpAddr {
    match to.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// Returns whether packets to `to` reach a socket that is bound to `local`.
pub(super) fn reaches(local: SocketAddr, to: SocketAddr) -> bool {
    local.port() == to.port() && contains(local.ip(), to.ip())
}

fn contains(all: IpAddr, one: IpAddr) -> bool {
    let has_all = match all {
        IpAddr::V4(ip) => ip.is_unspecified() && one.is_ipv4(),
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    has_all || all == one
}

/// Returns whether two sockets cannot be bound to these addresses at the same time.
pub(super) fn overlaps(one: SocketAddr, other: SocketAddr) -> bool {
    reaches(one, other) || reaches(other, one)
}

impl Net {
    /// Sets what `IPV6_V6ONLY` is, which is asked for if the socket is one of IPv6.
    pub(crate) fn set_only_v6(&mut self, id: SocketId, option: impl FnOnce() -> bool) {
        if let Some(socket) = self.sockets.get_mut(&id)
            && socket.is_v6
        {
            socket.only_v6 = option();
        }
    }

    /// Binds a socket of TCP or UDP. `reuse` is its `SO_REUSEADDR`.
    pub(super) fn ip_bind(
        &mut self,
        id: SocketId,
        address: SocketAddr,
        reuse: bool,
    ) -> Result<(), Errno> {
        let socket = self.sockets.get(&id).ok_or(libc::EBADF)?;
        check_family(socket.is_v6, address)?;
        if !socket.has_family_of(address) {
            return Err(libc::EINVAL);
        }
        let is_closed = match &socket.state {
            State::Stream(stream) => stream.phase == Phase::Closed,
            _ => true,
        };
        if socket.has_port || !is_closed {
            return Err(libc::EINVAL);
        }
        let is_udp = socket.is_udp();
        let mut local = canonical(address);
        if !self.has_address(id, local.ip()) {
            return Err(libc::EADDRNOTAVAIL);
        }
        if local.port() == 0 {
            local.set_port(self.free_port());
        }
        let host = self.lan.host_of(id);
        let socket = self.sockets.get(&id).ok_or(libc::EBADF)?;
        let clashes = |(other_id, other): (&SocketId, &Socket)| {
            let share = reuse && other.reuse && !matches!(other.state, State::Listening(_));
            let is_near = other.is_udp() == is_udp && self.lan.host_of(*other_id) == host;
            let both = |at| socket.has_family_of(at) && other.has_family_of(local);
            let clashes = |at| overlaps(local, at) && both(at);
            is_near && !share && other.bound().is_some_and(clashes)
        };
        let waits = !is_udp && self.is_in_time_wait(host, local, reuse);
        if waits || self.sockets.iter().any(clashes) {
            return Err(libc::EADDRINUSE);
        }
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.local = Some(local);
            socket.has_port = true;
            socket.is_port_chosen = address.port() == 0;
            socket.is_ip_chosen = false;
            socket.reuse = reuse;
        }
        Ok(())
    }

    /// Binds a socket to a free port, unless it has one. Returns its address, of all addresses if the program has
    /// chosen none.
    pub(super) fn bind_to_any_port(&mut self, id: SocketId) -> Result<SocketAddr, Errno> {
        let port = self.free_port();
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        if let Some(local) = socket.bound() {
            return Ok(local);
        }
        if socket.is_ip_chosen {
            socket.local = None;
        }
        let mut local = socket.local.unwrap_or(local_of(socket));
        local.set_port(port);
        socket.local = Some(local);
        socket.has_port = true;
        socket.is_port_chosen = true;
        Ok(local)
    }

    /// Binds a socket that connects to an address, as far as it is not bound.
    pub(super) fn bind_for(&mut self, id: SocketId, to: SocketAddr) -> Result<(), Errno> {
        let mut local = self.bind_to_any_port(id)?;
        let source = self.source_ip(id, to);
        if let Some(socket) = self.sockets.get_mut(&id)
            && local.ip().is_unspecified()
        {
            local.set_ip(source);
            socket.local = Some(local);
            socket.is_ip_chosen = true;
        }
        Ok(())
    }

    /// Lets other sockets have the port of one whose connection is over, if the kernel has chosen it.
    pub(super) fn release_port(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(&id)
            && socket.is_port_chosen
        {
            socket.has_port = false;
        }
    }

    /// Returns whether a connection was closed first on this side, at an address that overlaps, within the last
    /// minute. Its packets could still arrive.
    fn is_in_time_wait(&self, host: HostId, local: SocketAddr, reuse: bool) -> bool {
        self.time_wait.iter().any(|closed| {
            let is_kept = closed.host == host && closed.until_ns > self.now_ns;
            let share = reuse && closed.reuse;
            is_kept && !share && overlaps(local, closed.local)
        })
    }
}
