//! The system calls of this package: the only module that contains `unsafe`.
//!
//! Every call that moves a byte, takes a connection or starts one goes through here, called by
//! `socket` and `datagram` (transfers), `listen` (accept) and `connect`. Three rules are kept here:
//!
//! - A call that a signal interrupted is made again ([`made`], or [`uninterrupted`] where `socket2`
//!   or std makes the call), so `EINTR` never leaves this package.
//! - Minus one becomes an [`io::Error`] from errno ([`made`]).
//! - No call may raise `SIGPIPE`: everything that sends passes `MSG_NOSIGNAL`.
//!
//! Creating sockets and setting options is left to `socket2`, which needs no `unsafe` from us.
//!
//! Sources: recv(2), send(2), accept(2), getsockname(2), unix(7).

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::{mem, ptr};

use socket2::{SockAddr, SockRef};
use wakeful::io::IoCount;

use crate::address::RawAddress;

/// The most bytes Linux moves in one call (`MAX_RW_COUNT`), however large the buffer is.
const MAX_TRANSFER: usize = 0x7fff_f000;

/// The most slices Linux takes in one call (`UIO_MAXIOV`); more would be refused with `EMSGSIZE`.
const MAX_SLICES: usize = 1024;

/// Makes a call again for as long as a signal interrupts it.
#[inline]
pub(crate) fn uninterrupted<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match call() {
            Err(err) if err.raw_os_error() == Some(libc::EINTR) => {}
            result => return result,
        }
    }
}

/// Makes a system call that answers with a count or a descriptor, and turns -1 into errno.
///
/// What happens when it fails is a function of its own, so that the usual call, which does not, has
/// no loop around it and fewer registers to save.
#[inline]
fn made(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    match usize::try_from(call()) {
        Ok(result) => Ok(result),
        Err(_negative) => made_after_all(call),
    }
}

/// The rest of [`made`], after a call that has just failed.
#[cold]
#[inline(never)]
fn made_after_all(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EINTR) => {}
            error => return Err(error),
        }
        if let Ok(result) = usize::try_from(call()) {
            return Ok(result);
        }
    }
}

/// Receives into one buffer. See recv(2).
#[inline]
pub(crate) fn recv(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<IoCount> {
    recv_with(fd, buf, 0)
}

/// Copies what can be received without taking it out of the kernel's buffer.
#[inline]
pub(crate) fn peek(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<IoCount> {
    // What was peeked at is still there, so the source stays readable, however little it was.
    recv_with(fd, buf, libc::MSG_PEEK).map(|count| IoCount::unknown(count.transferred()))
}

#[inline]
fn recv_with(fd: BorrowedFd<'_>, buf: &mut [u8], flags: libc::c_int) -> io::Result<IoCount> {
    let asked = buf.len().min(MAX_TRANSFER);
    let bytes = made(|| {
        // SAFETY: `buf` is borrowed exclusively for the whole call and at least `asked` bytes long;
        // the kernel writes nothing beyond that and keeps no pointer.
        unsafe { libc::recv(fd.as_raw_fd(), buf.as_mut_ptr().cast(), asked, flags) }
    })?;
    Ok(IoCount::new(bytes, asked))
}

/// Receives into several buffers, one after another. See recvmsg(2).
///
/// This is also how a Unix stream receives into one buffer: a message that carried descriptors or
/// credentials ends a receive early although more bytes wait behind it, and only recvmsg(2) tells
/// (`MSG_CTRUNC`, because no room for them is offered; the kernel closes what it cannot deliver).
/// Such a receive is not short.
#[inline]
pub(crate) fn recv_vectored(
    fd: BorrowedFd<'_>,
    bufs: &mut [IoSliceMut<'_>],
) -> io::Result<IoCount> {
    let count = bufs.len().min(MAX_SLICES);
    let asked = total(bufs[..count].iter().map(|buf| buf.len()));
    let mut message = empty_message();
    // `IoSliceMut` is promised to have the layout of `iovec` on Unix.
    message.msg_iov = bufs.as_mut_ptr().cast();
    message.msg_iovlen = count as _;
    let bytes = made(|| {
        // SAFETY: `message` points at `count` live, exclusively borrowed buffers and at nothing
        // else; the kernel writes only into them and into `message`, and keeps no pointer.
        unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, 0) }
    })?;
    let cut = message.msg_flags & libc::MSG_CTRUNC != 0;
    Ok(if cut {
        IoCount::unknown(bytes)
    } else {
        IoCount::new(bytes, asked)
    })
}

/// Receives one datagram, or copies it without taking it, and tells who sent it. See recvfrom(2).
///
/// What does not fit into the buffer is lost.
#[inline]
pub(crate) fn recv_from(
    fd: BorrowedFd<'_>,
    buf: &mut [u8],
    peek: bool,
) -> io::Result<(usize, RawAddress)> {
    let asked = buf.len().min(MAX_TRANSFER);
    let flags = if peek { libc::MSG_PEEK } else { 0 };
    let mut address = RawAddress::new();
    let mut len = 0;
    let bytes = made(|| {
        len = RawAddress::CAPACITY;
        let (from, len) = (address.as_mut_ptr(), &raw mut len);
        let to = buf.as_mut_ptr().cast();
        // SAFETY: `to` points at `asked` writable bytes and `from` at `len`; both are borrowed
        // exclusively for the whole call. The kernel writes nothing beyond them, says in `len` how
        // long the address was, and keeps no pointer.
        unsafe { libc::recvfrom(fd.as_raw_fd(), to, asked, flags, from, len) }
    })?;
    address.set_len(len);
    Ok((bytes, address))
}

/// Sends from one buffer, without `SIGPIPE`. See send(2).
#[inline]
pub(crate) fn send(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<IoCount> {
    let asked = buf.len().min(MAX_TRANSFER);
    let bytes = made(|| {
        // SAFETY: `buf` is borrowed for the whole call and at least `asked` bytes long; the kernel
        // only reads it and keeps no pointer.
        unsafe {
            libc::send(
                fd.as_raw_fd(),
                buf.as_ptr().cast(),
                asked,
                libc::MSG_NOSIGNAL,
            )
        }
    })?;
    Ok(IoCount::new(bytes, asked))
}

/// Sends one datagram to an address, without `SIGPIPE`. See sendto(2).
#[inline]
pub(crate) fn send_to(fd: BorrowedFd<'_>, buf: &[u8], target: &SockAddr) -> io::Result<usize> {
    let socket = SockRef::from(&fd);
    uninterrupted(|| socket.send_to_with_flags(buf, target, libc::MSG_NOSIGNAL))
}

/// Sends from several buffers, one after another, without `SIGPIPE` (which writev(2) would raise).
#[inline]
pub(crate) fn send_vectored(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<IoCount> {
    let count = bufs.len().min(MAX_SLICES);
    let asked = total(bufs[..count].iter().map(|buf| buf.len()));
    let mut message = empty_message();
    // `IoSlice` is promised to have the layout of `iovec` on Unix; sendmsg(2) only reads it.
    message.msg_iov = bufs.as_ptr().cast_mut().cast();
    message.msg_iovlen = count as _;
    let bytes = made(|| {
        // SAFETY: `message` points at `count` live borrowed buffers and at nothing else; the kernel
        // only reads them and keeps no pointer.
        unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) }
    })?;
    Ok(IoCount::new(bytes, asked))
}

/// How many bytes the kernel is asked for when it is given buffers of these lengths.
fn total(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.fold(0, usize::saturating_add).min(MAX_TRANSFER)
}

/// A message without address, buffers and control data.
#[inline]
fn empty_message() -> libc::msghdr {
    // SAFETY: `msghdr` consists of pointers, integers and (on some C libraries) padding; null and
    // zero are valid for all of them. It cannot be written as a literal where it has padding.
    unsafe { mem::zeroed() }
}

/// Takes one connection from a listening socket, already non-blocking and close-on-exec.
///
/// One system call, so that no moment exists in which the new descriptor is inheritable or blocks.
/// See accept4(2).
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, RawAddress)> {
    let mut address = RawAddress::new();
    let mut len = 0;
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let fd = made(|| {
        len = RawAddress::CAPACITY;
        let (to, len) = (address.as_mut_ptr(), &raw mut len);
        // SAFETY: `to` points at `len` writable bytes that live for the whole call; the kernel
        // writes at most that many and says in `len` how long the address was.
        let fd = unsafe { libc::accept4(listener.as_raw_fd(), to, len, flags) };
        fd as isize
    })?;
    address.set_len(len);
    // SAFETY: the call succeeded, so `fd` is an open descriptor that nothing else owns yet.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
    Ok((fd, address))
}

/// Starts connecting. See connect(2); `EINPROGRESS` means "wait until it is writable".
pub(crate) fn connect(fd: BorrowedFd<'_>, address: &SockAddr) -> io::Result<()> {
    uninterrupted(|| SockRef::from(&fd).connect(address))
}

/// Reads and clears the pending error of a socket (`SO_ERROR`).
pub(crate) fn take_error(fd: BorrowedFd<'_>) -> io::Result<Option<io::Error>> {
    uninterrupted(|| SockRef::from(&fd).take_error())
}

/// The address a socket is bound to. See getsockname(2).
pub(crate) fn local_addr(fd: BorrowedFd<'_>) -> io::Result<RawAddress> {
    address_from(libc::getsockname, fd)
}

/// The address a socket is connected to. See getpeername(2).
pub(crate) fn peer_addr(fd: BorrowedFd<'_>) -> io::Result<RawAddress> {
    address_from(libc::getpeername, fd)
}

/// The shape that getsockname(2) and getpeername(2) have in common.
type AddressCall =
    unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int;

fn address_from(call: AddressCall, fd: BorrowedFd<'_>) -> io::Result<RawAddress> {
    let mut address = RawAddress::new();
    let mut len = RawAddress::CAPACITY;
    made(|| {
        let (to, len) = (address.as_mut_ptr(), &raw mut len);
        // SAFETY: `call` is one of the two functions above. `to` points at `len` writable bytes
        // that live for the whole call; the kernel writes at most that many and says in `len` how
        // long the address was.
        let result = unsafe { call(fd.as_raw_fd(), to, len) };
        result as isize
    })?;
    address.set_len(len);
    Ok(address)
}

/// Who was at the other end of a Unix stream when it was connected: process, user, group.
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
    made(|| {
        let (to, len) = (ptr::from_mut(&mut cred).cast(), &raw mut len);
        let (level, name) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
        // SAFETY: `to` points at a `ucred`, three integers that any bytes are valid for, and `len`
        // says how large it is; the kernel writes at most that many bytes.
        let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, to, len) };
        result as isize
    })?;
    if len as usize != size {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "credentials of unexpected size",
        ));
    }
    Ok(cred)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system call that gives these answers, the last first: a number, or minus an error.
    fn call(mut answers: Vec<isize>) -> impl FnMut() -> isize {
        move || match answers.pop().expect("asked too often") {
            error @ ..0 => {
                // SAFETY: it may be called at any time.
                let errno = unsafe { libc::__errno_location() };
                // SAFETY: it points to a number of this thread, to which nothing refers.
                unsafe { *errno = -error as libc::c_int };
                -1
            }
            answer => answer,
        }
    }

    #[test]
    fn a_call_is_made_until_it_is_not_interrupted() {
        let (interrupted, refused) = (-(libc::EINTR as isize), -(libc::EAGAIN as isize));
        assert_eq!(made(call(vec![7])).unwrap(), 7);
        assert_eq!(made(call(vec![7, interrupted, interrupted])).unwrap(), 7);
        for answers in [vec![7, refused], vec![7, refused, interrupted]] {
            let error = made(call(answers)).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
        }
    }

    #[test]
    fn an_interrupted_call_is_made_again() {
        let mut answers = vec![Ok(7), Err(libc::EINTR), Err(libc::EINTR)];
        let result = uninterrupted(|| {
            answers
                .pop()
                .expect("asked too often")
                .map_err(io::Error::from_raw_os_error)
        });
        assert_eq!(result.unwrap(), 7);
        assert!(answers.is_empty());
    }

    #[test]
    fn other_errors_are_handed_on_at_once() {
        let mut calls = 0;
        let result: io::Result<()> = uninterrupted(|| {
            calls += 1;
            Err(io::Error::from_raw_os_error(libc::EAGAIN))
        });
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EAGAIN));
        assert_eq!(calls, 1);
    }

    #[test]
    fn the_total_of_many_huge_slices_does_not_overflow() {
        assert_eq!(total([usize::MAX, usize::MAX].into_iter()), MAX_TRANSFER);
        assert_eq!(total([3, 0, 4].into_iter()), 7);
    }
}
