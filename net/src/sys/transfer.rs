//! Receiving and sending bytes and datagrams.
//!
//! Called by `socket`. A stream's message costs one call of [`recv`] and one of [`send`].
//!
//! Sources: recv(2), send(2), unix(7).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

use socket2::{SockAddr, SockRef};
use wakeful::io::IoCount;
use wakeful::kernel::{self, Verdict};
use wakeful::trace::Operation;

use super::ask::{self, ask};
use super::{retry_on_intr, retrying, with_address};
use crate::record::transferred;

/// Bytes that Linux moves in one call at most (`MAX_RW_COUNT`), however large the buffer is.
pub(super) const MAX_TRANSFER: usize = 0x7fff_f000;

/// Slices that Linux takes in one call (`UIO_MAXIOV`). More are refused with `EMSGSIZE`.
const MAX_SLICES: usize = 1024;

/// Receives into one buffer. See recv(2).
#[inline]
pub(crate) fn recv(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<IoCount> {
    if kernel::any() {
        return transferred(fd, Operation::Receive, ask_recv(fd, buf, 0));
    }
    recv_with(fd, buf, 0)
}

/// Copies received bytes and leaves them in the kernel's buffer.
#[inline]
pub(crate) fn peek(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<IoCount> {
    let peeked = if kernel::any() {
        transferred(fd, Operation::Other, ask_recv(fd, buf, libc::MSG_PEEK))
    } else {
        recv_with(fd, buf, libc::MSG_PEEK)
    };
    // The bytes are still there, so the source stays readable after a short peek.
    peeked.map(|count| IoCount::unknown(count.transferred()))
}

#[inline]
fn recv_with(fd: BorrowedFd<'_>, buf: &mut [u8], flags: libc::c_int) -> io::Result<IoCount> {
    let requested = buf.len().min(MAX_TRANSFER);
    let (fd, to) = (fd.as_raw_fd(), buf.as_mut_ptr().cast());
    let bytes = retrying(move || {
        // SAFETY: `to` points into `buf`, which is borrowed exclusively for the whole call and at
        // least `requested` bytes long; the kernel writes nothing beyond that and keeps no pointer.
        unsafe { libc::recv(fd, to, requested, flags) }
    })?;
    Ok(IoCount::new(bytes, requested))
}

#[cold]
#[inline(never)]
fn ask_recv(fd: BorrowedFd<'_>, buf: &mut [u8], flags: libc::c_int) -> io::Result<IoCount> {
    let (len, peek) = (buf.len(), flags & libc::MSG_PEEK != 0);
    match ask(|kernel| kernel.recv(fd, &mut [IoSliceMut::new(buf)], peek)) {
        Verdict::Is(result) => Ok(IoCount::new(result?.min(len), len)),
        Verdict::Short(limit) => recv_with(fd, &mut buf[..shortened(len, limit)], flags),
        Verdict::Real => recv_with(fd, buf, flags),
    }
}

/// Returns the length of a transfer that a kernel has limited.
pub(super) fn shortened(len: usize, limit: usize) -> usize {
    len.min(limit.max(1))
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
    if kernel::any() {
        return transferred(fd, Operation::Receive, ask_recv_vectored(fd, bufs));
    }
    recv_message(fd, bufs)
}

#[cold]
#[inline(never)]
fn ask_recv_vectored(fd: BorrowedFd<'_>, bufs: &mut [IoSliceMut<'_>]) -> io::Result<IoCount> {
    let requested = total(bufs);
    match ask(|kernel| kernel.recv(fd, bufs, false)) {
        Verdict::Is(result) => Ok(IoCount::new(result?.min(requested), requested)),
        Verdict::Short(limit) => {
            // The first buffer is not empty, unless all are.
            let Some(first) = bufs.first_mut() else {
                return recv_message(fd, bufs);
            };
            let len = shortened(first.len(), limit);
            recv_message(fd, &mut [IoSliceMut::new(&mut first[..len])])
        }
        Verdict::Real => recv_message(fd, bufs),
    }
}

#[inline]
fn recv_message(fd: BorrowedFd<'_>, bufs: &mut [IoSliceMut<'_>]) -> io::Result<IoCount> {
    let requested = total(bufs);
    let mut message = empty_message();
    // `IoSliceMut` is guaranteed to have the layout of `iovec` on Unix.
    message.msg_iov = bufs.as_mut_ptr().cast();
    message.msg_iovlen = bufs.len() as _;
    let (fd, to) = (fd.as_raw_fd(), &raw mut message);
    let bytes = retrying(move || {
        // SAFETY: `message` points at live, exclusively borrowed buffers and at nothing else; the
        // kernel writes only into them and into `message`, and keeps no pointer.
        unsafe { libc::recvmsg(fd, to, 0) }
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
    let mut requested = buf.len().min(MAX_TRANSFER);
    if kernel::any() {
        match ask(|kernel| kernel.recv_from(fd, buf, peek)) {
            Verdict::Is(result) => {
                let (bytes, peer) = result?;
                return Ok((bytes.min(requested), ask::to_native(peer)?));
            }
            Verdict::Short(limit) => requested = shortened(requested, limit),
            Verdict::Real => {}
        }
    }
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
    if kernel::any() {
        return transferred(fd, Operation::Send, ask_send(fd, buf));
    }
    send_bytes(fd, buf)
}

#[cold]
#[inline(never)]
fn ask_send(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<IoCount> {
    let len = buf.len();
    match ask(|kernel| kernel.send(fd, &[IoSlice::new(buf)])) {
        Verdict::Is(result) => Ok(IoCount::new(result?.min(len), len)),
        Verdict::Short(limit) => send_bytes(fd, &buf[..shortened(len, limit)]),
        Verdict::Real => send_bytes(fd, buf),
    }
}

#[inline]
fn send_bytes(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<IoCount> {
    let requested = buf.len().min(MAX_TRANSFER);
    let (fd, bytes, flags) = (fd.as_raw_fd(), buf.as_ptr().cast(), libc::MSG_NOSIGNAL);
    let sent = retrying(move || {
        // SAFETY: `bytes` points into `buf`, which is borrowed for the whole call and at least
        // `requested` bytes long; the kernel only reads it and keeps no pointer.
        unsafe { libc::send(fd, bytes, requested, flags) }
    })?;
    Ok(IoCount::new(sent, requested))
}

/// Sends one datagram to an address, without `SIGPIPE`. See sendto(2).
#[inline]
pub(crate) fn send_to(fd: BorrowedFd<'_>, buf: &[u8], target: &SockAddr) -> io::Result<usize> {
    let mut buf = buf;
    if kernel::any() {
        match ask(|kernel| ask::with_address(target, |target| kernel.send_to(fd, buf, target))) {
            Verdict::Is(result) => return Ok(result?.min(buf.len())),
            Verdict::Short(limit) => buf = &buf[..shortened(buf.len(), limit)],
            Verdict::Real => {}
        }
    }
    let socket = SockRef::from(&fd);
    retry_on_intr(|| socket.send_to_with_flags(buf, target, libc::MSG_NOSIGNAL))
}

/// Sends from several buffers, one after another, without `SIGPIPE` (writev(2) would raise it).
#[inline]
pub(crate) fn send_vectored(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<IoCount> {
    let bufs = &bufs[transferred_at_once(bufs)];
    if kernel::any() {
        return transferred(fd, Operation::Send, ask_send_vectored(fd, bufs));
    }
    send_message(fd, bufs)
}

#[cold]
#[inline(never)]
fn ask_send_vectored(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<IoCount> {
    let requested = total(bufs);
    match ask(|kernel| kernel.send(fd, bufs)) {
        Verdict::Is(result) => Ok(IoCount::new(result?.min(requested), requested)),
        Verdict::Short(limit) => {
            let Some(first) = bufs.first() else {
                return send_message(fd, bufs);
            };
            let len = shortened(first.len(), limit);
            send_message(fd, &[IoSlice::new(&first[..len])])
        }
        Verdict::Real => send_message(fd, bufs),
    }
}

#[inline]
fn send_message(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<IoCount> {
    let mut message = empty_message();
    // `IoSlice` is guaranteed to have the layout of `iovec` on Unix; sendmsg(2) only reads it.
    message.msg_iov = bufs.as_ptr().cast_mut().cast();
    message.msg_iovlen = bufs.len() as _;
    let (fd, from) = (fd.as_raw_fd(), &raw const message);
    let bytes = retrying(move || {
        // SAFETY: `message` points at live borrowed buffers and at nothing else; the kernel only
        // reads them and keeps no pointer.
        unsafe { libc::sendmsg(fd, from, libc::MSG_NOSIGNAL) }
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
pub(super) fn empty_message() -> libc::msghdr {
    // SAFETY: `msghdr` consists of pointers, integers and (in some C libraries) padding; null and
    // zero are valid for all of them. It cannot be written as a literal where it has padding.
    unsafe { mem::zeroed() }
}

#[cfg(test)]
mod tests {
    use super::*;

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
