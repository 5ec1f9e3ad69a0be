//! Opens the sockets that clients reach the server at, and accepts from those that listen.
//!
//! [`bind`] is called by [`crate::program`] at start-up and turns every [`Address`] into sockets
//! that belong to no runtime yet, so that they can be handed to any thread; [`Listener`] is such a
//! socket on the runtime that accepts from it, in [`crate::accept`].

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener as StdTcpListener, UdpSocket as StdUdpSocket};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with, sockopt};
use tracing::{debug, warn};
use wakeful_net::{SocketError, TcpListener, TcpSocket, UdpSocket, UnixListener, lookup_host};

use crate::address::Address;
use crate::stream::{Peer, Stream};
use crate::unix_socket::{SocketFile, make_way};

/// A socket with the address that clients use.
#[derive(Debug)]
pub(crate) struct Socket {
    kind: Kind,
    /// `tcp://127.0.0.1:40213`: with the port that the kernel chose, if it was left to it.
    name: String,
}

#[derive(Debug)]
enum Kind {
    Tcp(StdTcpListener),
    Unix(StdUnixListener),
    Udp(StdUdpSocket),
}

/// All that is listened on.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    /// For every thread its own sockets; those of one address share it.
    pub(crate) per_thread: Vec<Vec<Socket>>,
    /// The socket files to remove at the end.
    pub(crate) files: Vec<SocketFile>,
}

impl Bound {
    /// The addresses that clients use, once each.
    pub(crate) fn names(&self) -> Vec<String> {
        self.per_thread
            .iter()
            .take(1)
            .flatten()
            .map(|socket| socket.name.clone())
            .collect()
    }

    /// How many sockets there are.
    pub(crate) fn sockets(&self) -> usize {
        self.per_thread.iter().map(Vec::len).sum()
    }
}

/// Why an address cannot be listened on: one line, with the address and the cause.
#[derive(Debug)]
pub(crate) struct BindError {
    address: String,
    cause: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BindError { address, cause } = self;
        write!(f, "bind {address}: {cause}")?;
        match cause.kind() {
            ErrorKind::PermissionDenied if address.starts_with("tcp:") => {
                write!(
                    f,
                    "; ports below 1024 need a privilege (CAP_NET_BIND_SERVICE)"
                )
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for BindError {}

/// Opens sockets on every address, one per thread, all with a queue of `backlog` clients.
///
/// # Errors
///
/// The first address that cannot be listened on. Sockets opened before are closed, and their files
/// removed.
pub(crate) async fn bind(
    addresses: &[Address],
    backlog: u32,
    threads: u32,
) -> Result<Bound, BindError> {
    let mut bound = Bound::default();
    bound.per_thread.resize_with(threads as usize, Vec::new);
    for address in addresses {
        let outcome = match address {
            Address::Tcp { host, port } => {
                let one = |bound: &mut _, address| bind_tcp(bound, address, backlog);
                bind_all(&mut bound, host, *port, one).await
            }
            Address::Udp { host, port } => bind_all(&mut bound, host, *port, bind_udp).await,
            Address::Unix(path) => bind_unix(&mut bound, path, backlog).await,
        };
        outcome.map_err(|error| BindError {
            address: address.to_string(),
            cause: plain(error),
        })?;
    }
    Ok(bound)
}

/// The error as the kernel or the resolver gave it: [`BindError`] names the address itself.
fn plain(error: io::Error) -> io::Error {
    match SocketError::downcast_ref(&error)
        .map(|details| (details.io_error().kind(), details.io_error()))
    {
        Some((kind, cause)) => match cause.raw_os_error() {
            Some(errno) => io::Error::from_raw_os_error(errno),
            None => io::Error::new(kind, cause.to_string()),
        },
        None => error,
    }
}

/// Binds sockets to every address that `host` stands for: `localhost` is usually both 127.0.0.1 and
/// `[::1]`, and a client may try either.
async fn bind_all(
    bound: &mut Bound,
    host: &str,
    port: u16,
    bind_one: impl Fn(&mut Bound, SocketAddr) -> io::Result<()>,
) -> io::Result<()> {
    let mut found: Vec<SocketAddr> = Vec::new();
    for address in lookup_host((host, port)).await? {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    let mut missing = None;
    let mut bound_any = false;
    for &address in &found {
        match bind_one(bound, address).map_err(plain) {
            Ok(()) => bound_any = true,
            // A name may have an address that this machine lacks, such as [::1] without IPv6.
            Err(error) if found.len() > 1 && is_missing(&error) => {
                debug!("{host} is also {address}, which this machine does not have: {error}");
                missing = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if !bound_any => Err(error),
        _ if found.is_empty() => Err(io::Error::new(ErrorKind::NotFound, "no such host")),
        _ => Ok(()),
    }
}

/// Whether the error says that the address is not one of this machine's.
fn is_missing(error: &io::Error) -> bool {
    let unsupported = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(unsupported)
}

fn bind_tcp(bound: &mut Bound, mut address: SocketAddr, backlog: u32) -> io::Result<()> {
    let shared = bound.per_thread.len() > 1;
    for (thread, sockets) in bound.per_thread.iter_mut().enumerate() {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // Lets a restarted server have its port back while old connections are in TIME_WAIT.
        socket.set_reuseaddr(true)?;
        // The first socket binds alone, so that a port which another server has is still an error,
        // and shares its port with the others from then on.
        if shared && thread > 0 {
            socket.set_reuseport(true)?;
        }
        socket.bind(address)?;
        if shared && thread == 0 {
            socket.set_reuseport(true)?;
        }
        let listener = socket.listen(backlog)?.into_std()?;
        address = listener.local_addr()?;
        sockets.push(Socket {
            kind: Kind::Tcp(listener),
            name: format!("tcp://{address}"),
        });
    }
    Ok(())
}

/// Binds datagram sockets. As with TCP, the first one binds alone and then shares its port.
fn bind_udp(bound: &mut Bound, mut address: SocketAddr) -> io::Result<()> {
    let shared = bound.per_thread.len() > 1;
    for (thread, sockets) in bound.per_thread.iter_mut().enumerate() {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::DGRAM, flags, Some(ipproto::UDP))?;
        if shared && thread > 0 {
            sockopt::set_socket_reuseport(&socket, true)?;
        }
        rustix::net::bind(&socket, &address)?;
        if shared && thread == 0 {
            sockopt::set_socket_reuseport(&socket, true)?;
        }
        let socket = StdUdpSocket::from(socket);
        address = socket.local_addr()?;
        sockets.push(Socket {
            kind: Kind::Udp(socket),
            name: format!("udp://{address}"),
        });
    }
    Ok(())
}

/// Listens on a Unix socket. All threads accept from the same one.
async fn bind_unix(bound: &mut Bound, path: &Path, backlog: u32) -> io::Result<()> {
    make_way(path).await?;
    let listener = UnixListener::bind(path)?.into_std()?;
    bound.files.push(SocketFile::adopt(path)?);
    // A second listen(2) changes the length of the queue and nothing else.
    rustix::net::listen(&listener, i32::try_from(backlog).unwrap_or(i32::MAX))?;
    let name = Address::Unix(path.to_owned()).to_string();
    for sockets in &mut bound.per_thread {
        sockets.push(Socket {
            kind: Kind::Unix(listener.try_clone()?),
            name: name.clone(),
        });
    }
    Ok(())
}

/// A socket on a runtime.
#[derive(Debug)]
pub(crate) enum Open {
    /// To be served by [`crate::accept`].
    Listener(Listener),
    /// To be served by [`crate::datagrams`].
    Datagrams(UdpSocket),
}

/// A listening socket on a runtime.
#[derive(Debug)]
pub(crate) enum Listener {
    /// For TCP clients.
    Tcp(TcpListener),
    /// For clients on this machine.
    Unix(UnixListener),
}

impl Socket {
    /// Registers the socket with the current runtime; gives back its name as well.
    pub(crate) fn open(self) -> io::Result<(Open, String)> {
        let open = match self.kind {
            Kind::Tcp(socket) => Open::Listener(Listener::Tcp(TcpListener::from_std(socket)?)),
            Kind::Unix(socket) => Open::Listener(Listener::Unix(UnixListener::from_std(socket)?)),
            Kind::Udp(socket) => Open::Datagrams(UdpSocket::from_std(socket)?),
        };
        Ok((open, self.name))
    }
}

impl Listener {
    /// Accepts the next client.
    ///
    /// # Errors
    ///
    /// Those of accept4(2); [`crate::accept`] knows what each of them means.
    ///
    /// # Cancel safety
    ///
    /// No client is lost.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // An echo is sent the moment it is ready; waiting for more to send with it
                // (Nagle's algorithm) would only delay it.
                if let Err(error) = stream.set_nodelay(true) {
                    warn!(%peer, %error, "TCP_NODELAY could not be set");
                }
                Ok((Stream::Tcp(stream), Peer::Tcp(peer)))
            }
            Listener::Unix(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Stream::Unix(stream), Peer::from(peer)))
            }
        }
    }
}
