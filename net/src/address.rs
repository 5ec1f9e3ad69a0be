//! Conversion of the addresses that the kernel reports.
//!
//! `sys` receives addresses as `socket2::SockAddr`; [`Address`] converts them to the type that a
//! socket's users see. It is implemented here for `std::net::SocketAddr`, and in `unix::address`
//! for Unix addresses, so that generic operations (`accept`, `recv_from`, `peer_addr`) exist once.
//!
//! Sources: ip(7), ipv6(7).

use std::io;
use std::net::SocketAddr;

use socket2::SockAddr;

/// An address type of this package. User code can neither name nor implement it.
pub trait Address: Sized {
    /// Converts what the kernel reported; `None` if it reported nothing.
    ///
    /// # Errors
    ///
    /// `InvalidData` when the address belongs to another family or has a length that it cannot have.
    #[doc(hidden)]
    fn from_kernel(reported: Option<&SockAddr>) -> io::Result<Self>;
}

impl Address for SocketAddr {
    fn from_kernel(reported: Option<&SockAddr>) -> io::Result<Self> {
        let address = reported
            .and_then(SockAddr::as_socket)
            .ok_or_else(|| unexpected("not an IPv4 or IPv6 address"))?;
        // `as_socket` checks the family only.
        if reported.map(SockAddr::len) == Some(SockAddr::from(address).len()) {
            Ok(address)
        } else {
            Err(unexpected("an address of the wrong length"))
        }
    }
}

/// Returns the error for an address that is not what the socket's family has.
pub(crate) fn unexpected(what: &str) -> io::Error {
    let message = format!("the kernel reported {what}");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_internet_address_keeps_port_flow_and_scope() {
        for text in ["1.2.3.4:5", "[2001:db8::7]:65535", "[fe80::1%3]:1"] {
            let mut address: SocketAddr = text.parse().unwrap();
            if let SocketAddr::V6(v6) = &mut address {
                v6.set_flowinfo(0xa0b0);
            }
            let read = SocketAddr::from_kernel(Some(&address.into())).unwrap();
            assert_eq!(read, address);
        }
    }

    #[test]
    fn an_address_of_another_family_is_refused() {
        let unix = SockAddr::unix("/x").unwrap();
        assert!(SocketAddr::from_kernel(Some(&unix)).is_err());
        assert!(SocketAddr::from_kernel(None).is_err());
    }
}
