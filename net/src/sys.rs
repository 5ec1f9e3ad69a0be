//! The system calls of this package: the only module that contains `unsafe`.
//!
//! Every call that moves a byte, accepts a connection or starts one is made here, called by
//! `socket`, `listen` and `connect`. This module keeps three rules:
//!
//! - A call that a signal interrupted is made again ([`retry_on_intr`]), so `EINTR` never leaves
//!   this package.
//! - A result of -1 becomes an [`io::Error`] from errno ([`cvt`]).
//! - No call raises `SIGPIPE`: each send passes `MSG_NOSIGNAL`.
//!
//! Datagrams with control data are in [`message`].
//!
//! `socket2` creates sockets and sets options, which needs no `unsafe` in this package.
//!
//! Sources: recv(2), send(2), accept(2), getsockname(2), unix(7).

#[cfg(feature = "hyper")]
pub(crate) mod hyper;
pub(crate) mod message;

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::{mem, ptr};

use socket2::{SockAddr, SockRef};
use wakeful::io::IoCount;

/// Bytes that Linux moves in one call at most (`MAX_RW_COUNT`), however large the buffer is.
const MAX_TRANSFER: usize = 0x7fff_f000;

/// Slices that Linux takes in one call (`UIO_MAXIOV`). More are refused with `EMSGSIZE`.
const MAX_SLICES: usize = 1024;

/// Repeats a call while a signal interrupts it.
#[inline]
pub(crate) fn retry_on_intr<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match call() {
            Err(err) if err.raw_os_error() == Some(libc::EINTR) => {}
            result => return result,
        }
    }
}

/// Converts the result of a system call that returns a count or a descriptor; -1 becomes errno.
#[inline]
fn cvt(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_negative| io::Error::last_os_error())
}

/// Receives into one buffer. See recv(2).
#[inline]
pub(crate) fn recv(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<IoCount> {
    recv_with(fd, buf, 0)
}

/// Copies received bytes and leaves them in the kernel's buffer.
#[inline]
pub(crate) fn peek(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<IoCount> {
    // The bytes are still there, so the source stays readable after a short peek.
    recv_with(fd, buf, libc::MSG_PEEK).map(|count| IoCount::unknown(count.transferred()))
}

#[inline]
fn recv_with(fd: BorrowedFd<'_>, buf: &mut [u8], flags: libc::c_int) -> io::Result<IoCount> {
    let requested = buf.len().min(MAX_TRANSFER);
    let bytes = retry_on_intr(|| {
        // SAFETY: `buf` is borrowed exclusively for the whole call and at least `requested` bytes
        // long; the kernel writes nothing beyond that and keeps no pointer.
        cvt(unsafe { libc::recv(fd.as_raw_fd(), buf.as_mut_ptr().cast(), requested, flags) })
    })?;
    Ok(IoCount::new(bytes, requested))
}

/// Receives into several buffers, one after another. See recvmsg(2).
///
/// A Unix stream receives into one buffer with this function, too. A message that carries
/// descriptors or credentials ends a receive early although more bytes follow it, and only
/// recvmsg(2) reports that: with `MSG_CTRUNC`, because no room for them is offered. The kernel
/// closes descriptors that it cannot deliver. Such a receive is not short.
#[inline]
pub(crate) fn recv_vectored(
    fd: BorrowedFd<'_>,
    bufs: &mut [IoSliceMut<'_>],
) -> io::Result<IoCount> {
    let at_once = transferred_at_once(bufs);
    let bufs = &mut bufs[at_once];
    let requested = total(bufs);
    let mut message = empty_message();
    // `IoSliceMut` is guaranteed to have the layout of `iovec` on Unix.
    message.msg_iov = bufs.as_mut_ptr().cast();
    message.msg_iovlen = bufs.len() as _;
    let bytes = retry_on_intr(|| {
        // SAFETY: `message` points at live, exclusively borrowed buffers and at nothing else; the
        // kernel writes only into them and into `message`, and keeps no pointer.
        cvt(unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, 0) })
    })?;
    let truncated = message.msg_flags & libc::MSG_CTRUNC != 0;
    Ok(if truncated {
        IoCount::unknown(bytes)
    } else {
        IoCount::new(bytes, requested)
    })
}

/// Receives one datagram and the address of its sender, or copies them with `peek`. See
/// recvfrom(2).
///
/// Bytes that do not fit into the buffer are lost.
#[inline]
pub(crate) fn recv_from(
    fd: BorrowedFd<'_>,
    buf: &mut [u8],
    peek: bool,
) -> io::Result<(usize, SockAddr)> {
    let requested = buf.len().min(MAX_TRANSFER);
    let flags = if peek { libc::MSG_PEEK } else { 0 };
    let (fd, buf) = (fd.as_raw_fd(), buf.as_mut_ptr().cast());
    let call = |address: *mut _, len: *mut _| {
        // SAFETY: `buf` points at `requested` bytes that are borrowed exclusively for the whole call,
        // and `address` at as many as `len` says; the kernel writes nothing beyond them and keeps no
        // pointer.
        unsafe { libc::recvfrom(fd, buf, requested, flags, address, len) }
    };
    // SAFETY: recvfrom(2) writes an address and its length.
    unsafe { with_address(call) }
}

/// Sends from one buffer, without `SIGPIPE`. See send(2).
#[inline]
pub(crate) fn send(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<IoCount> {
    let requested = buf.len().min(MAX_TRANSFER);
    let (fd, bytes, flags) = (fd.as_raw_fd(), buf.as_ptr().cast(), libc::MSG_NOSIGNAL);
    let sent = retry_on_intr(|| {
        // SAFETY: `bytes` points into `buf`, which is borrowed for the whole call and at least
        // `requested` bytes long; the kernel only reads it and keeps no pointer.
        cvt(unsafe { libc::send(fd, bytes, requested, flags) })
    })?;
    Ok(IoCount::new(sent, requested))
}

/// Sends one datagram to an address, without `SIGPIPE`. See sendto(2).
#[inline]
pub(crate) fn send_to(fd: BorrowedFd<'_>, buf: &[u8], target: &SockAddr) -> io::Result<usize> {
    let socket = SockRef::from(&fd);
    retry_on_intr(|| socket.send_to_with_flags(buf, target, libc::MSG_NOSIGNAL))
}

/// Sends from several buffers, one after another, without `SIGPIPE` (writev(2) would raise it).
#[inline]
pub(crate) fn send_vectored(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<IoCount> {
    let bufs = &bufs[transferred_at_once(bufs)];
    let mut message = empty_message();
    // `IoSlice` is guaranteed to have the layout of `iovec` on Unix; sendmsg(2) only reads it.
    message.msg_iov = bufs.as_ptr().cast_mut().cast();
    message.msg_iovlen = bufs.len() as _;
    let bytes = retry_on_intr(|| {
        // SAFETY: `message` points at live borrowed buffers and at nothing else; the kernel only
        // reads them and keeps no pointer.
        cvt(unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) })
    })?;
    Ok(IoCount::new(bytes, total(bufs)))
}

/// Returns the range of buffers for one call: [`MAX_SLICES`] from the first that is not empty.
///
/// Otherwise a call with empty buffers only would return 0, which means the end of the stream.
fn transferred_at_once(bufs: &[impl std::ops::Deref<Target = [u8]>]) -> std::ops::Range<usize> {
    let first = bufs.iter().position(|buf| !buf.is_empty()).unwrap_or(0);
    first..bufs.len().min(first + MAX_SLICES)
}

/// Returns how many bytes the kernel is asked for by a call with these buffers.
fn total(bufs: &[impl std::ops::Deref<Target = [u8]>]) -> usize {
    let sum = bufs
        .iter()
        .fold(0_usize, |sum, buf| sum.saturating_add(buf.len()));
    sum.min(MAX_TRANSFER)
}

/// Returns a message without address, buffers and control data.
#[inline]
fn empty_message() -> libc::msghdr {
    // SAFETY: `msghdr` consists of pointers, integers and (in some C libraries) padding; null and
    // zero are valid for all of them. It cannot be written as a literal where it has padding.
    unsafe { mem::zeroed() }
}

/// Accepts one connection from a listening socket, already non-blocking and close-on-exec.
///
/// One system call, so the new descriptor is never inheritable or blocking. See accept4(2).
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, SockAddr)> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let listener = listener.as_raw_fd();
    let call = |address: *mut _, len: *mut _| {
        // SAFETY: `address` points at as many bytes as `len` says; the kernel writes nothing beyond
        // them and keeps no pointer.
        let fd = unsafe { libc::accept4(listener, address, len, flags) };
        fd as isize
    };
    // SAFETY: accept4(2) writes an address and its length.
    let (fd, address) = unsafe { with_address(call) }?;
    // SAFETY: the call succeeded, so `fd` is an open descriptor that nothing else owns yet.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
    Ok((fd, address))
}

/// Starts connecting. See connect(2); after `EINPROGRESS` the caller waits until it is writable.
pub(crate) fn connect(fd: BorrowedFd<'_>, address: &SockAddr) -> io::Result<()> {
    retry_on_intr(|| SockRef::from(&fd).connect(address))
}

/// Reads and clears the pending error of a socket (`SO_ERROR`).
pub(crate) fn take_error(fd: BorrowedFd<'_>) -> io::Result<Option<io::Error>> {
    retry_on_intr(|| SockRef::from(&fd).take_error())
}

/// Returns the address that a socket is bound to. See getsockname(2).
pub(crate) fn local_addr(fd: BorrowedFd<'_>) -> io::Result<SockAddr> {
    retry_on_intr(|| SockRef::from(&fd).local_addr())
}

/// Returns the address that a socket is connected to. See getpeername(2).
pub(crate) fn peer_addr(fd: BorrowedFd<'_>) -> io::Result<SockAddr> {
    retry_on_intr(|| SockRef::from(&fd).peer_addr())
}

/// Makes a system call that reports an address.
///
/// # Safety
///
/// `call` makes a system call that writes at most as many bytes to its first argument as its second
/// says, stores the address's length in the second, and keeps no pointer.
unsafe fn with_address(
    call: impl Fn(*mut libc::sockaddr, *mut libc::socklen_t) -> isize,
) -> io::Result<(usize, SockAddr)> {
    retry_on_intr(|| {
        // SAFETY: the caller vouches for `call`. The kernel writes complete addresses only, and no
        // address is longer than the storage.
        unsafe { SockAddr::try_init(|storage, len| cvt(call(storage.cast(), len))) }
    })
}

/// Returns the process, user and group that were at the other end of a Unix stream when it was
/// connected.
///
/// See `SO_PEERCRED` in unix(7).
pub(crate) fn peer_cred(fd: BorrowedFd<'_>) -> io::Result<libc::ucred> {
    let mut cred = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let size = mem::size_of::<libc::ucred>();
    let mut len = size as libc::socklen_t;
    retry_on_intr(|| {
        let (to, len) = (ptr::from_mut(&mut cred).cast(), &raw mut len);
        let (level, name) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
        // SAFETY: `to` points at a `ucred`, three integers that any bytes are valid for, and `len`
        // says how large it is; the kernel writes at most that many bytes.
        let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, to, len) };
        cvt(result as isize)
    })?;
    if len as usize != size {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the kernel reported credentials of unexpected size",
        ));
    }
    Ok(cred)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, SocketAddr};

    use super::*;
    use crate::address::Address;
    use crate::unix;

    #[test]
    fn an_interrupted_call_is_made_again() {
        let mut results = vec![Ok(7), Err(libc::EINTR), Err(libc::EINTR)];
        let result = retry_on_intr(|| {
            let result = results.pop().expect("called too often");
            result.map_err(io::Error::from_raw_os_error)
        });
        assert_eq!(result.unwrap(), 7);
        assert!(results.is_empty());
    }

    #[test]
    fn other_errors_are_returned_at_once() {
        let mut calls = 0;
        let result: io::Result<()> = retry_on_intr(|| {
            calls += 1;
            Err(io::Error::from_raw_os_error(libc::EAGAIN))
        });
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EAGAIN));
        assert_eq!(calls, 1);
    }

    #[test]
    fn minus_one_becomes_the_error_of_the_call() {
        assert_eq!(cvt(7).unwrap(), 7);
        // SAFETY: the call reads no memory; the descriptor is invalid.
        let error = cvt(unsafe { libc::close(-1) } as isize).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    }

    #[test]
    fn an_address_of_the_wrong_length_is_refused() {
        let with_length = |mut address: SockAddr, len| {
            // SAFETY: the storage has 128 bytes, all initialized.
            unsafe { address.set_length(len) };
            address
        };
        let v4: SocketAddr = ([1, 2, 3, 4], 80).into();
        let v6: SocketAddr = (Ipv6Addr::LOCALHOST, 80).into();
        for (address, full) in [(v4, 16), (v6, 28)] {
            for len in [0, 1, 2, 8, full - 1, full, full + 1, 128] {
                let reported = with_length(address.into(), len);
                let read = SocketAddr::from_kernel(Some(&reported));
                assert_eq!(read.ok(), (len == full).then_some(address), "{len}");
            }
        }
        let unix = with_length(SockAddr::unix("/x").unwrap(), 112);
        assert!(unix::SocketAddr::from_kernel(Some(&unix)).is_err());
    }

    #[test]
    fn the_total_is_limited_to_one_transfer() {
        let bytes = vec![0; 1 << 20];
        let large: Vec<_> = (0..4096).map(|_| IoSlice::new(&bytes)).collect();
        assert_eq!(total(&large), MAX_TRANSFER);
        let small = [b"abc".as_slice(), b"", b"abcd"].map(IoSlice::new);
        assert_eq!(total(&small), 7);
    }

    #[test]
    fn leading_empty_buffers_are_passed_over() {
        let mut bufs = vec![IoSlice::new(&[]); MAX_SLICES];
        assert_eq!(transferred_at_once(&bufs), 0..MAX_SLICES);
        bufs.push(IoSlice::new(b"data"));
        assert_eq!(transferred_at_once(&bufs), MAX_SLICES..MAX_SLICES + 1);
        assert_eq!(transferred_at_once(&bufs[..0]), 0..0);
    }
}
