//! Socket options of a `UdpSocket`, with multicast. For other options use
//! `socket2::SockRef::from(&socket)`.
//!
//! Source: ip(7), ipv6(7), udp(7), socket(7).

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use socket2::SockRef;

use super::UdpSocket;
use crate::error::{not_allowed, set_in_range, with_context, with_hint};

/// The longest name of a network interface (`IFNAMSIZ` without the zero at its end).
const MAX_INTERFACE_NAME: usize = 15;

impl UdpSocket {
    fn options(&self) -> SockRef<'_> {
        self.io().get_ref().options()
    }

    /// Allows sending to broadcast addresses (`SO_BROADCAST`); off by default.
    ///
    /// # Errors
    ///
    /// As setsockopt(2): none in practice.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.options().set_broadcast(broadcast)
    }

    /// Returns what [`set_broadcast`](Self::set_broadcast) set, or the system's default.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.options().broadcast()
    }

    /// Sets the time to live of packets to one IPv4 peer (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// `InvalidInput` when it is not within 1 to 255.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let set = || self.options().set_ttl_v4(ttl);
        set_in_range("set IP_TTL to", ttl, 1..=255, set)
    }

    /// Returns what [`set_ttl`](Self::set_ttl) set, or the system's default.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn ttl(&self) -> io::Result<u32> {
        self.options().ttl_v4()
    }

    /// Sets the type-of-service byte of IPv4 packets (`IP_TOS`).
    ///
    /// # Errors
    ///
    /// `InvalidInput` above 255.
    pub fn set_tos_v4(&self, tos: u32) -> io::Result<()> {
        let set = || self.options().set_tos_v4(tos);
        set_in_range("set IP_TOS to", tos, 0..=255, set)
    }

    /// Returns what [`set_tos_v4`](Self::set_tos_v4) set, or the system's default.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn tos_v4(&self) -> io::Result<u32> {
        self.options().tos_v4()
    }

    /// Sets the traffic class of IPv6 packets (`IPV6_TCLASS`).
    ///
    /// # Errors
    ///
    /// `InvalidInput` above 255; ENOPROTOOPT on an IPv4 socket.
    pub fn set_tclass_v6(&self, tclass: u32) -> io::Result<()> {
        let set = || self.options().set_tclass_v6(tclass);
        set_in_range("set IPV6_TCLASS to", tclass, 0..=255, set)
    }

    /// Returns what [`set_tclass_v6`](Self::set_tclass_v6) set, or the system's default.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn tclass_v6(&self) -> io::Result<u32> {
        self.options().tclass_v6()
    }

    /// Restricts the socket to one network interface, or to none with `None` (`SO_BINDTODEVICE`).
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a name that is empty or longer than 15 bytes, ENODEV when there is no such interface;
    /// `PermissionDenied` (EPERM) on some kernels.
    pub fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()> {
        let Some(name) = interface else {
            return self.options().bind_device(None);
        };
        let shown = name.escape_ascii();
        // The kernel would cut the name, and use another interface.
        if !(1..=MAX_INTERFACE_NAME).contains(&name.len()) || name.contains(&0) {
            let allowed =
                format!("a name has 1 to {MAX_INTERFACE_NAME} bytes, none of which is zero");
            return Err(not_allowed("set SO_BINDTODEVICE to", shown, allowed));
        }
        let set = self.options().bind_device(Some(name));
        set.map_err(|err| with_context("set SO_BINDTODEVICE to", shown, err))
    }

    /// Returns the name of the interface that [`bind_device`](Self::bind_device) set.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
        self.options().device()
    }

    /// Sets whether this machine receives its own IPv4 multicasts (`IP_MULTICAST_LOOP`); on by
    /// default.
    ///
    /// # Errors
    ///
    /// As setsockopt(2): none in practice on an IPv4 socket.
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.options().set_multicast_loop_v4(on)
    }

    /// Returns what [`set_multicast_loop_v4`](Self::set_multicast_loop_v4) set, or the system's
    /// default.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.options().multicast_loop_v4()
    }

    /// Sets how far IPv4 multicasts go (`IP_MULTICAST_TTL`); 1, the local network, by default.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when it is beyond 255.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        let set = || self.options().set_multicast_ttl_v4(ttl);
        set_in_range("set IP_MULTICAST_TTL to", ttl, 0..=255, set)
    }

    /// Returns what [`set_multicast_ttl_v4`](Self::set_multicast_ttl_v4) set, or the system's
    /// default.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.options().multicast_ttl_v4()
    }

    /// Sets whether this machine receives its own IPv6 multicasts (`IPV6_MULTICAST_LOOP`); on by
    /// default.
    ///
    /// # Errors
    ///
    /// As setsockopt(2): ENOPROTOOPT on an IPv4 socket.
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        let set = self.options().set_multicast_loop_v6(on);
        set.map_err(|err| with_context("set IPV6_MULTICAST_LOOP to", on, err))
    }

    /// Returns what [`set_multicast_loop_v6`](Self::set_multicast_loop_v6) set, or the system's
    /// default.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.options().multicast_loop_v6()
    }

    /// Joins an IPv4 multicast group on the interface with the given address (`IP_ADD_MEMBERSHIP`);
    /// `0.0.0.0` lets the system select the interface.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when `group` is not a multicast address, ENODEV when there is no such
    /// interface, `AddrInUse` when the socket is in the group already.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # wakeful::block_on(async {
    /// let socket = wakeful_net::UdpSocket::bind("0.0.0.0:5353").await?;
    /// socket.join_multicast_v4([224, 0, 0, 251].into(), [0, 0, 0, 0].into())?;
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        change_group("join", IpAddr::V4(group), interface, || {
            self.options().join_multicast_v4(&group, &interface)
        })
    }

    /// Joins an IPv6 multicast group on the interface with the given index (`IPV6_ADD_MEMBERSHIP`);
    /// 0 lets the system select the interface.
    ///
    /// # Errors
    ///
    /// As [`join_multicast_v4`](Self::join_multicast_v4).
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        change_group("join", IpAddr::V6(*group), interface, || {
            self.options().join_multicast_v6(group, interface)
        })
    }

    /// Leaves an IPv4 multicast group (`IP_DROP_MEMBERSHIP`).
    ///
    /// # Errors
    ///
    /// `InvalidInput` when `group` is not a multicast address, `AddrNotAvailable` when the socket is not in the
    /// group.
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        change_group("leave", IpAddr::V4(group), interface, || {
            self.options().leave_multicast_v4(&group, &interface)
        })
    }

    /// Leaves an IPv6 multicast group (`IPV6_DROP_MEMBERSHIP`).
    ///
    /// # Errors
    ///
    /// As [`leave_multicast_v4`](Self::leave_multicast_v4).
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        change_group("leave", IpAddr::V6(*group), interface, || {
            self.options().leave_multicast_v6(group, interface)
        })
    }
}

/// Joins or leaves a multicast group.
fn change_group(
    operation: &'static str,
    group: IpAddr,
    interface: impl fmt::Display,
    change: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let shown = format_args!("{group} on interface {interface}").to_string();
    if !group.is_multicast() {
        let allowed = match group {
            IpAddr::V4(_) => "not a multicast address; allowed are 224.0.0.0 to 239.255.255.255",
            IpAddr::V6(_) => "not a multicast address; allowed are those that begin with ff",
        };
        return Err(not_allowed(operation, shown, allowed));
    }
    change().map_err(|err| match err.raw_os_error() {
        Some(libc::ENODEV) => with_hint(operation, shown, "there is no such interface", err),
        Some(libc::EADDRINUSE) => {
            with_hint(operation, shown, "the socket is in the group already", err)
        }
        Some(libc::EADDRNOTAVAIL) => {
            with_hint(operation, shown, "the socket is not in the group", err)
        }
        _ => with_context(operation, shown, err),
    })
}
