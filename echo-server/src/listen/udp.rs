//! Opens datagram sockets, with their options.

use std::io;
use std::net::{SocketAddr, UdpSocket as StdUdpSocket};

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with, sockopt};
use tracing::{debug, warn};
use wakeful_net::UdpSocket;

use super::{BoundSockets, Kind, Socket, canonical};

/// Binds datagram sockets. As with TCP, the first one binds alone and shares its port after that.
pub(super) fn bind(
    bound: &mut BoundSockets,
    mut address: SocketAddr,
    only_v6: bool,
) -> io::Result<()> {
    let shared = bound.per_thread.len() > 1;
    for (thread, sockets) in bound.per_thread.iter_mut().enumerate() {
        let socket = new_socket(address)?;
        if only_v6 {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        if shared && thread > 0 {
            sockopt::set_socket_reuseport(&socket, true)?;
        }
        rustix::net::bind(&socket, &address)?;
        if shared && thread == 0 {
            sockopt::set_socket_reuseport(&socket, true)?;
        }
        address = socket.local_addr()?;
        sockets.push(Socket {
            kind: Kind::Udp(socket),
            address: format!("udp://{address}"),
        });
    }
    Ok(())
}

/// Creates a datagram socket with its options. They are set before it is bound, because the kernel
/// does not apply them to datagrams that have arrived.
fn new_socket(address: SocketAddr) -> io::Result<StdUdpSocket> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::DGRAM, flags, Some(ipproto::UDP))?;
    let socket = UdpSocket::from_std(socket.into())?;
    // An answer has to come from the address that was asked, or the client can drop it. A socket of
    // one address answers from it anyway.
    if canonical(address).ip().is_unspecified()
        && let Err(error) = socket.set_recv_local_addr(true)
    {
        warn!(%address, %error, "answers can come from another local address");
    }
    if let Err(error) = socket.set_gro(true) {
        debug!(%address, %error, "datagrams are received one at a time");
    }
    socket.into_std()
}

/// Returns the addresses of the datagram sockets among `sockets`. An IPv4 address is never in its
/// IPv6 form, so that it can be compared.
///
/// # Errors
///
/// Returns an error if a socket does not report its address.
pub(crate) fn udp_addresses(sockets: &[Socket]) -> io::Result<Vec<SocketAddr>> {
    let udp = sockets.iter().filter_map(|socket| match &socket.kind {
        Kind::Udp(socket) => Some(socket.local_addr().map(canonical)),
        Kind::Tcp(_) | Kind::Unix(_) => None,
    });
    udp.collect()
}
