//! Helpers of the tests of `AsyncFd`: a registered socket, and one operation on it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use wakeful::io::{AsyncFd, Interest};

use crate::trace::pair;
pub use crate::waits::Source;

/// Creates a registered socket, whose first event has not been dispatched, and its blocking peer.
///
/// # Panics
///
/// When it cannot be created.
pub fn source() -> (Source, UnixStream) {
    let (here, there) = pair();
    let fd = AsyncFd::new(here).expect("a descriptor that epoll accepts");
    (fd, there)
}

/// Waits for input and reads once.
///
/// # Errors
///
/// Those of the read.
pub async fn read(fd: &Source, buffer: &mut [u8]) -> io::Result<usize> {
    fd.async_io(Interest::READABLE, |mut here| here.read(buffer))
        .await
}

/// Writes until the socket's buffer is full, and returns the number of bytes.
pub fn fill(fd: &Source) -> usize {
    let mut sent = 0;
    while let Ok(n) = fd.try_io(Interest::WRITABLE, |mut here| here.write(&[7; 4096])) {
        sent += n;
    }
    sent
}

/// Dispatches the socket's first event, which reports that it is writable.
///
/// # Panics
///
/// When the runtime has ended.
pub async fn first_event(fd: &Source) {
    drop(fd.writable().await.expect("a live runtime"));
}

/// Waits for input, reads once, and clears the readiness after a short read.
///
/// # Panics
///
/// When there is nothing to read.
pub async fn take(fd: &Source) -> usize {
    let mut guard = fd.readable().await.expect("a live runtime");
    let taken = guard.try_io(|fd| fd.get_ref().read(&mut [0; 8]));
    guard.short_transfer();
    taken.expect("readable").expect("no error")
}
