//! Questions to the kernel about descriptors and threads, for dumps. Nothing here changes anything.
//!
//! Called by [`crate::dump`]. A question that the kernel does not answer is left out of the dump. About a descriptor the
//! [kernel that is installed](crate::kernel) on this thread is asked first.
//!
//! Sources: socket(7), getsockname(2), getpeername(2), unix(7), proc(5).

use std::fs;
use std::io;
use std::mem::size_of;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::RawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;

use super::check;
use crate::kernel::{self, Address, Inspected, Verdict};

/// The kind of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceKind {
    /// A TCP connection, or a socket that is not connected yet.
    TcpStream,
    /// A TCP socket that listens.
    TcpListener,
    /// A UDP socket.
    UdpSocket,
    /// A connection over a Unix socket.
    UnixStream,
    /// A Unix socket that listens.
    UnixListener,
    /// A Unix socket for datagrams.
    UnixDatagram,
    /// A socket of another kind.
    Socket,
    /// A pipe or a FIFO.
    Pipe,
    /// The eventfd on which a runtime waits for the signals of the process.
    Signals,
    /// Anything else: an eventfd, a timerfd, a terminal, a device.
    Other,
}

/// What the kernel knows about a descriptor.
#[derive(Debug)]
pub(crate) struct Descriptor {
    pub(crate) kind: SourceKind,
    /// The own address of a socket, or the name of another descriptor in /proc.
    pub(crate) local: Option<String>,
    pub(crate) peer: Option<String>,
}

/// Asks about a descriptor. Returns `None` if it is closed.
pub(crate) fn descriptor(fd: RawFd) -> Option<Descriptor> {
    if kernel::any()
        && let Some(found) = ask(fd)
    {
        return Some(found);
    }
    match socket_kind(fd) {
        Ok(kind) => Some(Descriptor {
            kind,
            local: address(fd, libc::getsockname),
            peer: address(fd, libc::getpeername),
        }),
        Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => {
            let link = fs::read_link(format!("/proc/self/fd/{fd}")).ok();
            let name = link.map(|link| escape(link.as_os_str().as_bytes()));
            let is_pipe = name.as_ref().is_some_and(|name| name.starts_with("pipe:"));
            Some(Descriptor {
                kind: if is_pipe {
                    SourceKind::Pipe
                } else {
                    SourceKind::Other
                },
                local: name,
                peer: None,
            })
        }
        Err(_) => None,
    }
}

/// Asks the kernel that is installed on this thread about a socket. Linux knows its family and its type, because the
/// descriptor is a real one.
fn ask(fd: RawFd) -> Option<Descriptor> {
    let Verdict::Is(Ok(asked)) = kernel::current()?.inspect(fd) else {
        return None;
    };
    let Inspected {
        listens,
        local,
        peer,
    } = asked;
    Some(Descriptor {
        kind: socket_kind_if(fd, || listens).ok()?,
        local: local.as_ref().and_then(text_of),
        peer: peer.as_ref().and_then(text_of),
    })
}

/// Returns the text of an address; `None` for an unnamed one.
fn text_of(address: &Address) -> Option<String> {
    match address {
        Address::Ip(ip) => Some(ip.to_string()),
        Address::Unix(unix) => match (unix.as_pathname(), unix.as_abstract_name()) {
            (Some(path), _) => Some(escape(path.as_os_str().as_bytes())),
            (None, Some(name)) => Some(format!("@{}", escape(name))),
            (None, None) => None,
        },
    }
}

fn socket_kind(fd: RawFd) -> io::Result<SourceKind> {
    let listens = || option(fd, libc::SO_ACCEPTCONN).is_ok_and(|listens| listens != 0);
    socket_kind_if(fd, listens)
}

fn socket_kind_if(fd: RawFd, listens: impl Fn() -> bool) -> io::Result<SourceKind> {
    let domain = option(fd, libc::SO_DOMAIN)?;
    let is_ip = matches!(domain, libc::AF_INET | libc::AF_INET6);
    let is_unix = domain == libc::AF_UNIX;
    Ok(match option(fd, libc::SO_TYPE)? {
        libc::SOCK_STREAM if is_ip && listens() => SourceKind::TcpListener,
        libc::SOCK_STREAM if is_ip => SourceKind::TcpStream,
        libc::SOCK_DGRAM if is_ip => SourceKind::UdpSocket,
        libc::SOCK_STREAM if is_unix && listens() => SourceKind::UnixListener,
        libc::SOCK_STREAM if is_unix => SourceKind::UnixStream,
        libc::SOCK_DGRAM if is_unix => SourceKind::UnixDatagram,
        _ => SourceKind::Socket,
    })
}

/// Returns an option of a socket that is an integer. See getsockopt(2).
///
/// # Errors
///
/// `ENOTSOCK` for a descriptor that is no socket, `EBADF` for a closed one.
fn option(fd: RawFd, name: libc::c_int) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    let (to, length_to) = ((&raw mut value).cast(), &raw mut length);
    // SAFETY: `value` and `length` are live for the call, and the kernel writes at most `length` bytes.
    check(unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, to, length_to) })?;
    Ok(value)
}

/// getsockname(2) or getpeername(2).
type AskAddress =
    unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int;

/// Returns an address of a socket as text; `None` if it has none.
fn address(fd: RawFd, ask: AskAddress) -> Option<String> {
    let mut bytes = [0u8; size_of::<libc::sockaddr_storage>()];
    let mut length = bytes.len() as libc::socklen_t;
    let (to, length_to) = (bytes.as_mut_ptr().cast(), &raw mut length);
    // SAFETY: `ask` is one of the two calls above. Both write at most `length` bytes to `bytes`, which
    // are live for the call, and keep no pointer.
    check(unsafe { ask(fd, to, length_to) }).ok()?;
    let length = (length as usize).min(bytes.len());
    address_text(&bytes[..length])
}

/// Returns the text of the bytes of a `sockaddr`.
fn address_text(bytes: &[u8]) -> Option<String> {
    let port = || Some(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?));
    match libc::c_int::from(u16::from_ne_bytes(*bytes.first_chunk()?)) {
        libc::AF_INET => {
            let ip: [u8; 4] = *bytes.get(4..)?.first_chunk()?;
            Some(SocketAddrV4::new(Ipv4Addr::from(ip), port()?).to_string())
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = *bytes.get(8..)?.first_chunk()?;
            let scope = u32::from_ne_bytes(*bytes.get(24..)?.first_chunk()?);
            Some(SocketAddrV6::new(Ipv6Addr::from(ip), port()?, 0, scope).to_string())
        }
        libc::AF_UNIX => match bytes.get(2..)? {
            [] => None,
            [0, name @ ..] => Some(format!("@{}", escape(name))),
            path => path.split(|byte| *byte == 0).next().map(escape),
        },
        _ => None,
    }
}

/// Escapes all but printable ASCII, because a terminal acts on control bytes.
fn escape(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

impl SourceKind {
    /// Returns the kind in words, and in one word for JSON.
    pub(crate) fn names(self) -> (&'static str, &'static str) {
        match self {
            SourceKind::TcpStream => ("TCP stream", "tcp_stream"),
            SourceKind::TcpListener => ("TCP listener", "tcp_listener"),
            SourceKind::UdpSocket => ("UDP socket", "udp_socket"),
            SourceKind::UnixStream => ("Unix stream", "unix_stream"),
            SourceKind::UnixListener => ("Unix listener", "unix_listener"),
            SourceKind::UnixDatagram => ("Unix datagram socket", "unix_datagram"),
            SourceKind::Socket => ("socket", "socket"),
            SourceKind::Pipe => ("pipe", "pipe"),
            SourceKind::Signals => ("signals of the process", "signals"),
            SourceKind::Other => ("descriptor", "other"),
        }
    }
}

/// Returns the number of this thread; `None` without /proc.
pub(crate) fn current_thread() -> Option<i32> {
    let link = fs::read_link("/proc/thread-self").ok()?;
    link.file_name()?.to_str()?.parse().ok()
}

/// Returns the number of threads of this process; `None` without /proc.
///
/// The kernel counts them at one moment. A walk through /proc/self/task can miss one while another ends.
pub(crate) fn thread_count() -> Option<usize> {
    const NUM_THREADS: usize = 20;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses, which can contain anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace()
        .nth(NUM_THREADS - 3)?
        .parse()
        .ok()
}

/// Returns the number and the name of each thread of this process, at most `limit` of them; nothing
/// without /proc.
pub(crate) fn threads(limit: usize) -> Vec<(i32, String)> {
    let Ok(entries) = fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    let id = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    let ids = entries.filter_map(id).take(limit);
    ids.map(|id: i32| {
        let name = fs::read(format!("/proc/self/task/{id}/comm")).unwrap_or_default();
        (id, escape(name.trim_ascii_end()))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    use super::*;

    #[test]
    fn the_bytes_of_an_address_become_its_text() {
        let text = |family: libc::c_int, rest: &[u8]| {
            let family = (family as u16).to_ne_bytes();
            address_text(&[&family, rest].concat())
        };
        assert_eq!(
            text(libc::AF_INET, &[0x1f, 0x90, 127, 0, 0, 1]).as_deref(),
            Some("127.0.0.1:8080")
        );
        let mut v6 = [0; 26];
        v6[..2].copy_from_slice(&[0, 80]);
        v6[21] = 1;
        assert_eq!(text(libc::AF_INET6, &v6).as_deref(), Some("[::1]:80"));
        assert_eq!(text(libc::AF_INET6, &v6[..20]), None, "too short");
        assert_eq!(
            text(libc::AF_UNIX, b"/tmp/a\x1b[b\0\0").as_deref(),
            Some("/tmp/a\\x1b[b")
        );
        assert_eq!(text(libc::AF_UNIX, b"\0name").as_deref(), Some("@name"));
        assert_eq!(text(libc::AF_UNIX, b""), None);
        assert_eq!(text(libc::AF_VSOCK, &[0; 14]), None);
        assert_eq!(address_text(&[1]), None);
    }

    #[test]
    fn the_kernel_is_asked_for_kind_and_addresses() {
        let (stream, _other) = UnixStream::pair().unwrap();
        let kind = |fd: &dyn AsRawFd| descriptor(fd.as_raw_fd()).unwrap().kind;
        assert_eq!(kind(&stream), SourceKind::UnixStream);
        assert_eq!(
            kind(&UnixDatagram::unbound().unwrap()),
            SourceKind::UnixDatagram
        );
        let (pipe, _end) = std::io::pipe().unwrap();
        let asked = descriptor(pipe.as_raw_fd()).unwrap();
        assert_eq!(asked.kind, SourceKind::Pipe);
        assert!(asked.local.unwrap().starts_with("pipe:["));
        let directory = std::env::temp_dir();
        let path = directory.join(format!("wakeful-inspect-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let asked = descriptor(listener.as_raw_fd()).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(asked.kind, SourceKind::UnixListener);
        assert_eq!(asked.local.as_deref(), path.to_str());
        assert_eq!(asked.peer, None);
        let event = crate::sys::eventfd::EventFd::new().unwrap();
        let asked = descriptor(std::os::fd::AsFd::as_fd(&event).as_raw_fd()).unwrap();
        assert_eq!(asked.kind, SourceKind::Other);
        assert_eq!(asked.local.as_deref(), Some("anon_inode:[eventfd]"));
        assert!(descriptor(-1).is_none());
    }

    #[test]
    fn every_thread_of_the_process_is_listed() {
        let (begin, begun) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("seen".to_owned());
        let thread = thread.spawn(move || {
            begin.send(()).unwrap();
            ended.recv().unwrap_err();
        });
        begun.recv().unwrap();
        let names: Vec<String> = threads(1000).into_iter().map(|thread| thread.1).collect();
        assert!(names.iter().any(|name| name == "seen"), "{names:?}");
        assert_eq!(threads(1).len(), 1);
        assert!(
            threads(1000)
                .iter()
                .any(|thread| Some(thread.0) == current_thread())
        );
        drop(end);
        thread.unwrap().join().unwrap();
    }
}
