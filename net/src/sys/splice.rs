//! Moving bytes from socket to socket through a pipe, without copying them to user space.
//!
//! Called by `io::pipes` and `io::direction`. Not on the path of `read` and `write`.
//!
//! ```text
//!   socket --fill--> pipe --drain--> socket
//!                      |
//!                      +---read----> buffer     if the second socket does not take part in splice
//! ```
//!
//! splice(2) moves references to the kernel's pages. It returns `EAGAIN` both for a socket without bytes
//! and for a full pipe, so a pipe is filled only when it is empty.
//!
//! Sources: splice(2), pipe(7), pthread_sigmask(3), sigtimedwait(2).

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::{io, ptr};

use wakeful::kernel;
use wakeful::trace::Operation;

use super::{cvt, retry_on_intr};
use crate::record::recorded;

/// A pipe, and the number of bytes in it. Dropping it loses these.
#[derive(Debug)]
pub(crate) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    len: usize,
}

impl Pipe {
    /// Opens a pipe that is non-blocking and close-on-exec. See pipe2(2).
    pub(crate) fn new() -> io::Result<Self> {
        let mut fds: [RawFd; 2] = [-1; 2];
        let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
        // SAFETY: `fds` has room for the two descriptors that the kernel writes.
        cvt(unsafe { libc::pipe2(fds.as_mut_ptr(), flags) } as isize)?;
        let own = |fd| {
            // SAFETY: the call succeeded, so `fd` is open, and nothing else owns it yet.
            unsafe { OwnedFd::from_raw_fd(fd) }
        };
        Ok(Self {
            reader: own(fds[0]),
            writer: own(fds[1]),
            len: 0,
        })
    }

    /// Returns the number of bytes in the pipe.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Moves at most `limit` bytes from a socket into the pipe, which is empty, and returns their number.
    ///
    /// With an installed kernel, which has no such call, the error is that of a system without it.
    ///
    /// `WouldBlock` does not show that the socket has no bytes: TCP returns it before urgent data, too.
    pub(crate) fn fill(&mut self, socket: BorrowedFd<'_>, limit: usize) -> io::Result<usize> {
        if kernel::any() && kernel::current().is_some() {
            return Err(io::Error::from_raw_os_error(libc::ENOSYS));
        }
        debug_assert_eq!(self.len, 0, "a pipe that is not empty can be full");
        let moved = retry_on_intr(|| splice(socket.as_raw_fd(), self.writer.as_raw_fd(), limit));
        self.len = recorded(&socket, Operation::Receive, moved, |moved| *moved)?;
        Ok(self.len)
    }

    /// Moves bytes from the pipe to a socket and returns their number. Raises no `SIGPIPE`.
    pub(crate) fn drain(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let (pipe, len) = (self.reader.as_raw_fd(), self.len);
        let call = || retry_on_intr(|| splice(pipe, socket.as_raw_fd(), len));
        let moved = without_sigpipe(call, |result| !matches!(result, Ok(n) if *n == len));
        let moved = recorded(&socket, Operation::Send, moved, |moved| *moved)?;
        self.len -= moved;
        Ok(moved)
    }

    /// Appends the bytes in the pipe to a buffer.
    pub(crate) fn read(&mut self, buf: &mut Vec<u8>) -> io::Result<()> {
        while self.len > 0 {
            buf.reserve(self.len);
            let room = buf.spare_capacity_mut();
            let (pipe, to, len) = (self.reader.as_raw_fd(), room.as_mut_ptr(), self.len);
            let read = retry_on_intr(|| {
                // SAFETY: `to` points at `len` bytes or more that `buf` owns and that are borrowed
                // exclusively; the kernel writes nothing beyond them and keeps no pointer.
                cvt(unsafe { libc::read(pipe, to.cast(), len) })
            })?;
            // SAFETY: the kernel has written `read` bytes of the reserved ones.
            unsafe { buf.set_len(buf.len() + read) };
            self.len -= read.clamp(1, self.len);
        }
        Ok(())
    }
}

fn splice(from: RawFd, to: RawFd, len: usize) -> io::Result<usize> {
    let (none, flags) = (
        ptr::null_mut(),
        libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK,
    );
    // SAFETY: without offsets the call gets no memory of this process.
    cvt(unsafe { libc::splice(from, none, to, none, len, flags) })
}

/// Calls `call`, which can raise `SIGPIPE` on this thread, and lets no handler see that signal.
///
/// splice(2) has no counterpart of `MSG_NOSIGNAL`. So the signal is blocked during the call, and taken
/// from the pending ones if the call `failed`. The kernel sends it to the thread, not to the process.
fn without_sigpipe<R>(
    call: impl FnOnce() -> io::Result<R>,
    failed: impl FnOnce(&io::Result<R>) -> bool,
) -> io::Result<R> {
    let sigpipe = only_sigpipe();
    let before = change_mask(libc::SIG_BLOCK, &sigpipe);
    let was_blocked = contains_sigpipe(&before);
    // A signal that was pending before belongs to the program. It can be only if it was blocked.
    let keep = was_blocked && contains_sigpipe(&pending());
    let result = call();
    if failed(&result) && !keep {
        let no_time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: both pointers are to live values that the call reads, and the third is absent.
        unsafe { libc::sigtimedwait(&raw const sigpipe, ptr::null_mut(), &raw const no_time) };
    }
    if !was_blocked {
        change_mask(libc::SIG_UNBLOCK, &sigpipe);
    }
    result
}

/// Returns the set that contains `SIGPIPE` alone.
fn only_sigpipe() -> libc::sigset_t {
    let mut set = empty_set();
    // SAFETY: `set` is initialized.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGPIPE) };
    set
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `set` has room for a set. The call has no errors for a valid pointer.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the call has written it.
    unsafe { set.assume_init() }
}

/// Blocks or unblocks the signals in `set` on this thread, and returns those blocked before.
fn change_mask(how: libc::c_int, set: &libc::sigset_t) -> libc::sigset_t {
    let mut before = empty_set();
    // SAFETY: both pointers are to live sets; the kernel reads the first and writes the second. Its only
    // error is an invalid `how`.
    unsafe { libc::pthread_sigmask(how, set, &raw mut before) };
    before
}

/// Returns the signals that are pending for this thread or the process.
fn pending() -> libc::sigset_t {
    let mut set = empty_set();
    // SAFETY: `set` is a live set that the kernel writes.
    unsafe { libc::sigpending(&raw mut set) };
    set
}

fn contains_sigpipe(set: &libc::sigset_t) -> bool {
    // SAFETY: `set` is initialized and only read.
    unsafe { libc::sigismember(set, libc::SIGPIPE) == 1 }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use socket2::SockRef;

    use super::*;

    fn pair() -> (UnixStream, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        for stream in [&near, &far] {
            stream.set_nonblocking(true).unwrap();
        }
        (near, far)
    }

    fn send(to: &UnixStream, bytes: &[u8]) {
        assert_eq!(SockRef::from(to).send(bytes).unwrap(), bytes.len());
    }

    #[test]
    fn bytes_pass_through_the_pipe_and_are_counted() {
        let ((source, relay_in), (relay_out, sink)) = (pair(), pair());
        let mut pipe = Pipe::new().unwrap();
        let empty = pipe.fill(relay_in.as_fd(), 100).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        send(&source, b"hello world");
        assert_eq!(pipe.fill(relay_in.as_fd(), 5).unwrap(), 5);
        assert_eq!(pipe.len(), 5);
        assert_eq!(pipe.drain(relay_out.as_fd()).unwrap(), 5);
        assert_eq!(pipe.len(), 0);
        let mut buf = [MaybeUninit::uninit(); 16];
        assert_eq!(SockRef::from(&sink).recv(&mut buf).unwrap(), 5);
    }

    #[test]
    fn the_pipe_can_be_read_instead() {
        let (source, relay_in) = pair();
        let mut pipe = Pipe::new().unwrap();
        send(&source, b"hello");
        pipe.fill(relay_in.as_fd(), 100).unwrap();
        let mut buf = b"> ".to_vec();
        pipe.read(&mut buf).unwrap();
        assert_eq!((&*buf, pipe.len()), (&b"> hello"[..], 0));
    }

    #[test]
    fn a_signal_that_was_pending_before_stays_pending() {
        let ((source, relay_in), (relay_out, sink)) = (pair(), pair());
        let sigpipe = only_sigpipe();
        let mut pipe = Pipe::new().unwrap();
        let mut write_to_a_closed_socket = || {
            send(&source, b"x");
            pipe = Pipe::new().unwrap();
            pipe.fill(relay_in.as_fd(), 100).unwrap();
            pipe.drain(relay_out.as_fd()).unwrap_err().kind()
        };
        drop(sink);
        assert_eq!(write_to_a_closed_socket(), io::ErrorKind::BrokenPipe);
        change_mask(libc::SIG_BLOCK, &sigpipe);
        assert_eq!(write_to_a_closed_socket(), io::ErrorKind::BrokenPipe);
        assert!(!contains_sigpipe(&pending()), "this call's signal");
        // SAFETY: the call sends a signal to this thread, which has blocked it.
        unsafe { libc::raise(libc::SIGPIPE) };
        assert_eq!(write_to_a_closed_socket(), io::ErrorKind::BrokenPipe);
        assert!(contains_sigpipe(&pending()), "the program's signal");
    }
}
