//! Feature `hyper`: receives into hyper's buffer, which is memory that can have never been written.
//!
//! Called by `traits::hyper`. Filling that buffer without `unsafe` takes a copy from another one, which
//! adds 14 to 25 % to the receive (docs/TRIED.md, "hyper's buffer").

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use wakeful::hyper::hyper::rt::ReadBufCursor;
use wakeful::io::IoCount;

use super::retrying;
use super::transfer::MAX_TRANSFER;

/// Receives into the rest of the buffer and counts the bytes as filled. See recv(2).
///
/// Does not ask an installed kernel, which takes initialized bytes: the caller has to.
pub(crate) fn recv(fd: BorrowedFd<'_>, buf: &mut ReadBufCursor<'_>) -> io::Result<IoCount> {
    // SAFETY: nothing is written to these bytes but received ones, below.
    let unfilled = unsafe { buf.as_mut() };
    let requested = unfilled.len().min(MAX_TRANSFER);
    let (fd, to) = (fd.as_raw_fd(), unfilled.as_mut_ptr().cast());
    let bytes = retrying(move || {
        // SAFETY: `to` points into `unfilled`, which is borrowed exclusively for the whole call and at
        // least `requested` bytes long; the kernel writes nothing beyond that and keeps no pointer.
        unsafe { libc::recv(fd, to, requested, 0) }
    })?;
    // SAFETY: the kernel has written this many bytes.
    unsafe { buf.advance(bytes) };
    Ok(IoCount::new(bytes, requested))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::mem::MaybeUninit;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use wakeful::hyper::hyper::rt::ReadBuf;

    use super::*;

    #[test]
    fn received_bytes_follow_those_in_the_buffer_and_end_at_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _peer) = listener.accept().unwrap();
        client.write_all(b"onetwothree").unwrap();
        let mut memory = [MaybeUninit::uninit(); 10];
        let mut buf = ReadBuf::uninit(&mut memory);
        buf.unfilled().put_slice(b"0");
        let count = recv(server.as_fd(), &mut buf.unfilled()).unwrap();
        assert_eq!(count.transferred(), 9);
        assert_eq!(buf.filled(), b"0onetwothr");
        drop(client);
        let mut rest = [MaybeUninit::uninit(); 10];
        let mut rest = ReadBuf::uninit(&mut rest);
        for (expected, count) in [(&b"ee"[..], 2), (b"ee", 0)] {
            let received = recv(server.as_fd(), &mut rest.unfilled()).unwrap();
            assert_eq!((rest.filled(), received.transferred()), (expected, count));
        }
    }
}
