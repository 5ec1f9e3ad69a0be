//! Opens the sockets on which clients reach the server.
//!
//! [`bind`] is called by [`crate::program`] at start-up. It turns every [`Address`] into sockets
//! that belong to no runtime yet, so that they can be sent to any thread. [`Socket::register`] is
//! called by [`crate::server`] on the thread that serves it. [`udp`] opens datagram sockets.
//!
//! A socket file outlives its server, so the next start finds a stale one. The file at the path can
//! also be a user's file, or the socket of a running server. So only a socket without a listener is
//! removed before binding. At the end only the file that this process created is removed; it is
//! identified by device and inode, because another server can have taken the path.
//!
//! Between the look at a stale socket and its removal another server could bind the path. So each
//! server holds a [`PathLock`] from before the look until it has removed its own file.

mod udp;

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::mem::discriminant;
use std::net::{
    IpAddr, Ipv6Addr, SocketAddr, TcpListener as StdTcpListener, UdpSocket as StdUdpSocket,
};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use rustix::net::sockopt;
use tracing::{debug, info, warn};
use wakeful::time::timeout;
use wakeful_net::{
    SocketError, TcpListener, TcpSocket, UdpSocket, UnixListener, UnixSocket, UnixStream,
    lookup_host,
};

pub(crate) use self::udp::udp_addresses;
use crate::args::Address;

/// Time limit of the connection that tests whether a server is running. Connecting
/// to a Unix socket takes no time, unless the queue of a running server is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A bound socket with its address.
#[derive(Debug)]
pub(crate) struct Socket {
    kind: Kind,
    /// Such as `tcp://127.0.0.1:40213`, with the port that the kernel chose if port 0 was given.
    address: String,
}

#[derive(Debug)]
enum Kind {
    Tcp(StdTcpListener),
    Unix(StdUnixListener),
    Udp(StdUdpSocket),
}

/// The sockets of all addresses.
#[derive(Debug, Default)]
pub(crate) struct BoundSockets {
    /// The sockets of each thread. Those of one address share its port.
    pub(crate) per_thread: Vec<Vec<Socket>>,
    /// Socket files, which are removed when they are dropped.
    pub(crate) files: Vec<SocketFile>,
}

impl BoundSockets {
    /// Returns the addresses, each once.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.per_thread
            .iter()
            .take(1)
            .flatten()
            .map(|socket| socket.address.clone())
            .collect()
    }

    /// Returns the number of sockets.
    pub(crate) fn count(&self) -> usize {
        self.per_thread.iter().map(Vec::len).sum()
    }
}

/// Error of binding an address, in one line with the address and the cause.
#[derive(Debug)]
pub(crate) struct BindError {
    address: String,
    cause: io::Error,
}

impl BindError {
    fn new(address: &Address, error: io::Error) -> BindError {
        BindError {
            address: address.to_string(),
            cause: root_cause(error),
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BindError { address, cause } = self;
        write!(f, "bind {address}: {cause}")?;
        if cause.kind() == ErrorKind::PermissionDenied && address.starts_with("tcp:") {
            f.write_str("; ports below 1024 need a privilege (CAP_NET_BIND_SERVICE)")?;
        }
        Ok(())
    }
}

impl std::error::Error for BindError {}

/// Opens sockets on every address, one per thread, all with a queue of `backlog` clients.
///
/// # Errors
///
/// Returns the error of the first host name that is not found, else of the first address that cannot
/// be bound. Sockets opened before are closed, and their files removed.
pub(crate) async fn bind(
    addresses: &[Address],
    backlog: u32,
    threads: u32,
) -> Result<BoundSockets, BindError> {
    let mut resolved = Vec::with_capacity(addresses.len());
    for address in addresses {
        let found = resolve(address).await;
        resolved.push((
            address,
            found.map_err(|error| BindError::new(address, error))?,
        ));
    }
    let mut bound = BoundSockets::default();
    bound.per_thread.resize_with(threads as usize, Vec::new);
    for (address, found) in &resolved {
        let outcome = match address {
            Address::Tcp { .. } => bind_all(found, |one| {
                let only_v6 = shares_port_with_ipv4(one, address, &resolved);
                bind_tcp(&mut bound, one, only_v6, backlog)
            }),
            Address::Udp { .. } => bind_all(found, |one| {
                let only_v6 = shares_port_with_ipv4(one, address, &resolved);
                udp::bind(&mut bound, one, only_v6)
            }),
            Address::Unix(path) => bind_unix(&mut bound, path, backlog).await,
        };
        outcome.map_err(|error| BindError::new(address, error))?;
    }
    Ok(bound)
}

/// Returns the addresses that the host of `address` stands for; none for a Unix socket.
async fn resolve(address: &Address) -> io::Result<Vec<SocketAddr>> {
    let (Address::Tcp { host, port } | Address::Udp { host, port }) = address else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for address in lookup_host((host.as_str(), *port)).await? {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    if found.is_empty() {
        return Err(io::Error::new(ErrorKind::NotFound, "no such host"));
    }
    Ok(found)
}

/// Returns whether `one`, to which `address` was resolved, is the IPv6 wildcard and some address of
/// the same protocol has its port on IPv4. Such a wildcard must leave IPv4 to that address, because
/// the kernel refuses two sockets for the same clients.
fn shares_port_with_ipv4(
    one: SocketAddr,
    address: &Address,
    resolved: &[(&Address, Vec<SocketAddr>)],
) -> bool {
    let protocol = discriminant(address);
    // A port of 0 is a different one for each socket.
    one.ip() == Ipv6Addr::UNSPECIFIED
        && one.port() != 0
        && resolved
            .iter()
            .filter(|(other, _)| discriminant(*other) == protocol)
            .flat_map(|(_, found)| found)
            .any(|other| other.port() == one.port() && canonical(*other).is_ipv4())
}

/// Returns the error of the kernel or the resolver, because [`BindError`] names the address itself.
fn root_cause(error: io::Error) -> io::Error {
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

/// Binds sockets to every address of a host. `localhost` is usually both 127.0.0.1 and `[::1]`, and
/// a client can try either.
fn bind_all(
    found: &[SocketAddr],
    mut bind_one: impl FnMut(SocketAddr) -> io::Result<()>,
) -> io::Result<()> {
    let mut missing = None;
    let mut bound_any = false;
    for &address in found {
        match bind_one(address).map_err(root_cause) {
            Ok(()) => bound_any = true,
            // A name can have an address that this machine lacks, such as [::1] without IPv6.
            Err(error) if found.len() > 1 && is_missing(&error) => {
                debug!(%address, %error, "skipped an address that this machine does not have");
                missing = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if !bound_any => Err(error),
        _ => Ok(()),
    }
}

/// Returns whether the address is not one of this machine's.
fn is_missing(error: &io::Error) -> bool {
    let unsupported = Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(unsupported)
}

fn bind_tcp(
    bound: &mut BoundSockets,
    mut address: SocketAddr,
    only_v6: bool,
    backlog: u32,
) -> io::Result<()> {
    let shared = bound.per_thread.len() > 1;
    for (thread, sockets) in bound.per_thread.iter_mut().enumerate() {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if only_v6 {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        // So that a restarted server can bind its port while old connections are in TIME_WAIT.
        socket.set_reuseaddr(true)?;
        // The first socket binds alone, so that a port in use is still an error. After that it
        // shares its port with the other threads.
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
            address: format!("tcp://{address}"),
        });
    }
    Ok(())
}

/// Listens on a Unix socket, from which all threads accept.
async fn bind_unix(bound: &mut BoundSockets, path: &Path, backlog: u32) -> io::Result<()> {
    let lock = PathLock::acquire(path)?;
    remove_stale_socket(path).await?;
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    bound.files.push(SocketFile::track(path, lock)?);
    let listener = socket.listen(backlog)?.into_std()?;
    let address = Address::Unix(path.to_owned()).to_string();
    for sockets in &mut bound.per_thread {
        sockets.push(Socket {
            kind: Kind::Unix(listener.try_clone()?),
            address: address.clone(),
        });
    }
    Ok(())
}

/// A socket on a runtime.
#[derive(Debug)]
pub(crate) enum Registered {
    /// Served by [`crate::accept`].
    Listening(ListeningSocket),
    /// Served by [`crate::udp`].
    Udp(UdpSocket),
}

/// A listening socket on a runtime.
#[derive(Debug)]
pub(crate) enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Socket {
    /// Registers the socket with the current runtime. Returns it with its address.
    ///
    /// # Errors
    ///
    /// Returns an error if epoll refuses it.
    pub(crate) fn register(self) -> io::Result<(Registered, String)> {
        use Registered::{Listening, Udp};
        let registered = match self.kind {
            Kind::Tcp(socket) => Listening(ListeningSocket::Tcp(TcpListener::from_std(socket)?)),
            Kind::Unix(socket) => Listening(ListeningSocket::Unix(UnixListener::from_std(socket)?)),
            Kind::Udp(socket) => Udp(UdpSocket::from_std(socket)?),
        };
        Ok((registered, self.address))
    }
}

/// Returns an address with `::ffff:127.0.0.1` written as `127.0.0.1`.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address, // with its scope
    }
}

// ---- files of Unix sockets ---------------------------------------------------------------------------

/// Removes a stale socket at `path`, so that it can be bound.
///
/// # Errors
///
/// Returns an error if anything else is there; that is left as it is.
async fn remove_stale_socket(path: &Path) -> io::Result<()> {
    // Not `metadata`: a symbolic link is left alone, whatever its target is.
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(address_in_use("the file is not a socket"));
    }
    match timeout(CONNECT_TIMEOUT, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
            remove_if_same(path, Identity::of(&found))?;
            info!(path = %path.display(), "replaced a stale socket");
            Ok(())
        }
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(Ok(_)) | Err(_) => Err(address_in_use("another server listens there")),
        Ok(Err(error)) => Err(error),
    }
}

fn address_in_use(cause: &str) -> io::Error {
    let text = format!("{cause}; it is left as it is");
    io::Error::new(ErrorKind::AddrInUse, text)
}

/// Distinguishes a file from another one that has the same path later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(metadata: &Metadata) -> Identity {
        Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// Returns whether the path still leads to that file.
fn is_same(path: &Path, identity: Identity) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(now) => Ok(Identity::of(&now) == identity),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes the file unless another one has its path now.
fn remove_if_same(path: &Path, identity: Identity) -> io::Result<()> {
    if is_same(path, identity)? {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// A file of this server. Dropping it removes the file.
#[derive(Debug)]
struct OwnFile {
    path: PathBuf,
    identity: Identity,
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        if let Err(error) = remove_if_same(&self.path, self.identity) {
            warn!(path = %self.path.display(), %error, "removing a file failed");
        }
    }
}

/// The right to replace and remove the file at a path: an exclusive lock (flock(2)) on the file
/// `PATH.lock` beside it. Dropping it removes that file. The kernel releases the lock of a server that
/// was killed, and the next server reuses its file.
#[derive(Debug)]
struct PathLock {
    /// Removed first. Otherwise it could be the locked file of the next server.
    _file: OwnFile,
    /// Holds the lock until it is closed.
    _open: File,
}

impl PathLock {
    /// Takes the lock for `path` without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error if another server has it, or if the file of the lock cannot be created.
    fn acquire(path: &Path) -> io::Result<PathLock> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let explain = |operation: &str, error: io::Error| {
            let text = format!("{operation} {}: {error}", path.display());
            io::Error::new(error.kind(), text)
        };
        loop {
            let mut options = File::options();
            // Never truncated, and only its owner can lock it. Neither a link nor a pipe that
            // someone left there is followed or waited for.
            options.read(true).write(true).create(true).mode(0o600);
            options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
            let file = options
                .open(&path)
                .map_err(|error| explain("open the lock file", error))?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    return Err(address_in_use("another server listens there"));
                }
                Err(error) => return Err(explain("lock the file", error.into())),
            }
            let locked = file.metadata()?;
            if !locked.is_file() || locked.len() > 0 {
                let text = format!("{} is not an empty file", path.display());
                return Err(address_in_use(&text));
            }
            // The last holder can have removed the file after it was opened here. Then another
            // server can lock a new one, so this lock is worth nothing.
            let identity = Identity::of(&locked);
            if is_same(&path, identity)? {
                return Ok(PathLock {
                    _file: OwnFile { path, identity },
                    _open: file,
                });
            }
        }
    }
}

/// A socket file that this server created. Dropping it removes the file, then releases the lock.
#[derive(Debug)]
pub(crate) struct SocketFile {
    _file: OwnFile,
    _lock: PathLock,
}

impl SocketFile {
    /// Remembers the file at `path`, which has just been bound.
    fn track(path: &Path, lock: PathLock) -> io::Result<SocketFile> {
        let identity = Identity::of(&fs::symlink_metadata(path)?);
        let path = path.to_owned();
        Ok(SocketFile {
            _file: OwnFile { path, identity },
            _lock: lock,
        })
    }
}
