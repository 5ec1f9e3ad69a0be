//! Addresses as the kernel writes them, and their conversion to std's types, field by field.
//!
//! `sys` lets the kernel fill a [`RawAddress`]; `tcp` and `unix` read it with
//! [`to_inet`](RawAddress::to_inet) and [`to_unix`](RawAddress::to_unix). Both look at the length
//! that the kernel reported before they look at a field, and both copy bytes out of an array, so
//! that nothing depends on the memory layout of a Rust type and no `unsafe` is needed.
//!
//! The other direction (std address to kernel) is `socket2::SockAddr`.
//!
//! Sources: ip(7), ipv6(7), unix(7).

use std::io;
use std::mem::{offset_of, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::unix;

/// Room for an address of any family, as accept4(2) and getsockname(2) fill it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(crate) struct RawAddress {
    /// What the kernel wrote, zero behind it.
    bytes: [u8; Self::CAPACITY as usize],
    /// How long the kernel says the address is; more than the room if it did not fit.
    len: usize,
}

impl RawAddress {
    /// The room that is offered to the kernel.
    pub(crate) const CAPACITY: libc::socklen_t = size_of::<libc::sockaddr_storage>() as _;

    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; Self::CAPACITY as usize],
            len: 0,
        }
    }

    /// Where the kernel is to write, [`CAPACITY`](Self::CAPACITY) bytes at most.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut libc::sockaddr {
        self.bytes.as_mut_ptr().cast()
    }

    /// Takes over the length that the kernel reported.
    pub(crate) fn set_len(&mut self, len: libc::socklen_t) {
        self.len = len as usize;
    }

    /// The bytes that the kernel vouches for.
    fn filled(&self) -> io::Result<&[u8]> {
        self.bytes
            .get(..self.len)
            .ok_or_else(|| invalid("an address longer than any can be"))
    }

    /// The address family, `AF_UNSPEC` when the kernel wrote none.
    fn family(filled: &[u8]) -> libc::c_int {
        match filled {
            [low, high, ..] => libc::c_int::from(u16::from_ne_bytes([*low, *high])),
            _ => libc::AF_UNSPEC,
        }
    }

    /// The IPv4 or IPv6 address.
    pub(crate) fn to_inet(self) -> io::Result<SocketAddr> {
        let filled = self.filled()?;
        match Self::family(filled) {
            libc::AF_INET => {
                use libc::sockaddr_in as Fields;
                require(filled, size_of::<Fields>())?;
                let port = u16::from_be_bytes(field(filled, offset_of!(Fields, sin_port)));
                let ip = Ipv4Addr::from(field::<4>(filled, offset_of!(Fields, sin_addr)));
                Ok(SocketAddrV4::new(ip, port).into())
            }
            libc::AF_INET6 => {
                use libc::sockaddr_in6 as Fields;
                require(filled, size_of::<Fields>())?;
                let port = u16::from_be_bytes(field(filled, offset_of!(Fields, sin6_port)));
                let ip = Ipv6Addr::from(field::<16>(filled, offset_of!(Fields, sin6_addr)));
                // Both in the machine's order, as std has them: it hands them back unchanged.
                let flow = u32::from_ne_bytes(field(filled, offset_of!(Fields, sin6_flowinfo)));
                let scope = u32::from_ne_bytes(field(filled, offset_of!(Fields, sin6_scope_id)));
                Ok(SocketAddrV6::new(ip, port, flow, scope).into())
            }
            _ => Err(invalid("not an IPv4 or IPv6 address")),
        }
    }

    /// The Unix address; unnamed when the kernel wrote no path or no address at all.
    pub(crate) fn to_unix(self) -> io::Result<unix::SocketAddr> {
        const PATH: usize = offset_of!(libc::sockaddr_un, sun_path);
        // A path of the full 108 bytes has no NUL behind it in the kernel's own record, yet is
        // reported one byte longer; the room is larger than that, so nothing was cut off.
        let filled = self.filled()?;
        match Self::family(filled) {
            libc::AF_UNIX => Ok(unix::SocketAddr::from_sun_path(
                filled.get(PATH..).unwrap_or(&[]),
            )),
            libc::AF_UNSPEC => Ok(unix::SocketAddr::from_sun_path(&[])),
            _ => Err(invalid("not a Unix address")),
        }
    }
}

/// Copies one field out. Callers have checked the length, so the range exists.
fn field<const N: usize>(filled: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&filled[at..at + N]);
    field
}

fn require(filled: &[u8], size: usize) -> io::Result<()> {
    if filled.len() < size {
        Err(invalid("an address cut short"))
    } else {
        Ok(())
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the kernel reported {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address as the kernel would have written it.
    fn raw(bytes: &[u8], len: usize) -> RawAddress {
        let mut raw = RawAddress::new();
        raw.bytes[..bytes.len()].copy_from_slice(bytes);
        raw.len = len;
        raw
    }

    fn v4(port: [u8; 2], ip: [u8; 4]) -> Vec<u8> {
        let mut bytes = (libc::AF_INET as u16).to_ne_bytes().to_vec();
        bytes.extend(port);
        bytes.extend(ip);
        bytes.extend([0; 8]);
        bytes
    }

    fn v6(port: [u8; 2], flow: u32, ip: [u8; 16], scope: u32) -> Vec<u8> {
        let mut bytes = (libc::AF_INET6 as u16).to_ne_bytes().to_vec();
        bytes.extend(port);
        bytes.extend(flow.to_ne_bytes());
        bytes.extend(ip);
        bytes.extend(scope.to_ne_bytes());
        bytes
    }

    fn unix(path: &[u8]) -> RawAddress {
        let mut bytes = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
        bytes.extend(path);
        raw(&bytes, bytes.len())
    }

    #[test]
    fn an_ipv4_address_is_read_field_by_field() {
        let bytes = v4([0x1f, 0x90], [127, 0, 0, 1]);
        assert_eq!(
            raw(&bytes, 16).to_inet().unwrap(),
            "127.0.0.1:8080".parse().unwrap()
        );
    }

    #[test]
    fn an_ipv6_address_keeps_flow_and_scope() {
        let ip = Ipv6Addr::new(0xfe80, 0, 0, 0, 1, 2, 3, 4);
        let bytes = v6([0, 80], 0x0102_0304, ip.octets(), 9);
        let expected = SocketAddrV6::new(ip, 80, 0x0102_0304, 9);
        assert_eq!(raw(&bytes, 28).to_inet().unwrap(), SocketAddr::V6(expected));
    }

    #[test]
    fn what_socket2_writes_is_what_we_read() {
        for text in ["1.2.3.4:5", "[2001:db8::7]:65535", "[fe80::1%3]:1"] {
            let mut address: SocketAddr = text.parse().unwrap();
            if let SocketAddr::V6(v6) = &mut address {
                v6.set_flowinfo(0xa0b0);
            }
            let native = socket2::SockAddr::from(address);
            // Field by field by hand, because reading another type's bytes would take `unsafe`.
            let ours = match address {
                SocketAddr::V4(a) => v4(a.port().to_be_bytes(), a.ip().octets()),
                SocketAddr::V6(a) => v6(
                    a.port().to_be_bytes(),
                    a.flowinfo(),
                    a.ip().octets(),
                    a.scope_id(),
                ),
            };
            let read = raw(&ours, native.len() as usize).to_inet().unwrap();
            assert_eq!(Some(read), native.as_socket());
        }
    }

    #[test]
    fn a_length_below_the_familys_size_is_refused() {
        for len in [0, 1, 2, 8, 15] {
            assert!(
                raw(&v4([0, 1], [1, 2, 3, 4]), len).to_inet().is_err(),
                "{len}"
            );
        }
        for len in [24, 27] {
            assert!(
                raw(&v6([0, 1], 0, [1; 16], 0), len).to_inet().is_err(),
                "{len}"
            );
        }
    }

    #[test]
    fn a_length_beyond_the_room_is_refused() {
        for len in [129, usize::MAX] {
            assert!(raw(&v4([0, 1], [1, 2, 3, 4]), len).to_inet().is_err());
            assert!(raw(&[1, 0], len).to_unix().is_err());
        }
    }

    #[test]
    fn a_foreign_family_is_refused() {
        assert!(unix(b"/x\0").to_inet().is_err());
        assert!(raw(&v4([0, 1], [1, 2, 3, 4]), 16).to_unix().is_err());
    }

    #[test]
    fn a_unix_peer_without_a_name_is_unnamed() {
        assert!(raw(&[], 0).to_unix().unwrap().is_unnamed());
        assert!(unix(b"").to_unix().unwrap().is_unnamed());
    }

    #[test]
    fn a_unix_path_ends_before_its_nul() {
        let address = unix(b"/run/x\0").to_unix().unwrap();
        assert_eq!(address.as_pathname().unwrap().to_str(), Some("/run/x"));
        let full = unix(&[b'p'; 108]).to_unix().unwrap();
        assert_eq!(full.as_pathname().unwrap().as_os_str().len(), 108);
    }

    #[test]
    fn an_abstract_name_keeps_every_byte() {
        let address = unix(b"\0a\0b\0").to_unix().unwrap();
        assert_eq!(address.as_abstract_name(), Some(&b"a\0b\0"[..]));
        assert_eq!(address.as_pathname(), None);
    }
}
