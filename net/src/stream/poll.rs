//! The operations of a stream as `poll_*` functions, which keep no state between two calls.
//!
//! Called by `traits::futures_io` and by the `poll_peek` of the streams; calls
//! `Readiness::poll_transfer`. Because no future is kept, the waker stays with the source until the
//! next event.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::task::{Context, Poll};

use wakeful::io::{Interest, IoCount};

use crate::budget::poll_proceed;
use crate::socket::{Io, Socket};

/// Waits until the stream is ready, then transfers once.
#[inline]
#[track_caller]
pub(crate) fn poll_io(
    io: &Io,
    interest: Interest,
    name: &'static str,
    cx: &mut Context<'_>,
    call: impl FnMut(&Socket) -> io::Result<IoCount>,
) -> Poll<io::Result<usize>> {
    let mut readiness = io.ready(interest).operation(name).by_waker();
    readiness.poll_transfer(cx, call)
}

/// Reads into `buf`. An empty buffer reads nothing and does not wait; so do all functions here.
#[inline]
#[track_caller]
pub(crate) fn poll_read(io: &Io, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
    if buf.is_empty() {
        return poll_proceed(cx).map(|()| Ok(0));
    }
    let name = io
        .get_ref()
        .name("TcpStream::poll_read", "UnixStream::poll_read");
    poll_io(io, Interest::READABLE, name, cx, |socket| socket.recv(buf))
}

/// Reads into several buffers, in order.
#[inline]
#[track_caller]
pub(crate) fn poll_read_vectored(
    io: &Io,
    cx: &mut Context<'_>,
    bufs: &mut [IoSliceMut<'_>],
) -> Poll<io::Result<usize>> {
    if bufs.iter().all(|buf| buf.is_empty()) {
        return poll_proceed(cx).map(|()| Ok(0));
    }
    let name = io.get_ref().name(
        "TcpStream::poll_read_vectored",
        "UnixStream::poll_read_vectored",
    );
    poll_io(io, Interest::READABLE, name, cx, |socket| {
        socket.recv_vectored(bufs)
    })
}

/// Copies bytes into `buf` that the next read will return.
#[inline]
#[track_caller]
pub(crate) fn poll_peek(io: &Io, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
    if buf.is_empty() {
        return poll_proceed(cx).map(|()| Ok(0));
    }
    let name = io
        .get_ref()
        .name("TcpStream::poll_peek", "UnixStream::poll_peek");
    poll_io(io, Interest::READABLE, name, cx, |socket| socket.peek(buf))
}

/// Writes from `buf`.
#[inline]
#[track_caller]
pub(crate) fn poll_write(io: &Io, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
    if buf.is_empty() {
        return poll_proceed(cx).map(|()| Ok(0));
    }
    let name = io
        .get_ref()
        .name("TcpStream::poll_write", "UnixStream::poll_write");
    poll_io(io, Interest::WRITABLE, name, cx, |socket| socket.send(buf))
}

/// Writes from several buffers, in order.
#[inline]
#[track_caller]
pub(crate) fn poll_write_vectored(
    io: &Io,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if bufs.iter().all(|buf| buf.is_empty()) {
        return poll_proceed(cx).map(|()| Ok(0));
    }
    let name = io.get_ref().name(
        "TcpStream::poll_write_vectored",
        "UnixStream::poll_write_vectored",
    );
    poll_io(io, Interest::WRITABLE, name, cx, |socket| {
        socket.send_vectored(bufs)
    })
}

/// Shuts down the writing direction, which waits for nothing but the budget.
pub(crate) fn poll_shutdown(io: &Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    poll_proceed(cx).map(|()| shutdown_write(io))
}

/// Shuts down the writing direction.
///
/// Succeeds if the peer has reset the connection (ENOTCONN), because nothing is left to shut down.
/// tokio's streams do the same.
pub(crate) fn shutdown_write(io: &Io) -> io::Result<()> {
    match io.get_ref().shutdown(Shutdown::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        result => result,
    }
}
