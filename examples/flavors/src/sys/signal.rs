//! SIGTERM and SIGINT: the end, in a way that every model notices as it notices everything else.
//!
//! ```text
//! SIGTERM --> handler --> shutdown(listener) --> accept(2) fails with EINVAL, in each model where it
//!                |                               waits: blocked, spinning, in epoll, in io_uring
//!                +------> shutdown(client, SHUT_RD), for the models that know one client only and may
//!                |        be blocked reading from it; the others end their clients themselves
//!                +------> alarm(1): then that one client is cut off if it does not take its answers
//! ```
//!
//! Why not a flag and `EINTR`? A signal that comes just before a call that blocks sets the flag, and
//! the call blocks all the same. A socket that has been shut down stays so.
//!
//! SIGUSR1 has a handler that does nothing and that interrupts system calls (no `SA_RESTART`), to
//! show, and to test, that no model minds `EINTR`.
//!
//! See signal-safety(7): shutdown(2), alarm(2) and _exit(2) may be called by a handler.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// Who may be asked to end. Written by the program, read by the handler; where the handler runs on
/// another thread it matters only that it sees the latest value, so sequential consistency, the
/// ordering that needs no further thought, serves for all three.
static STOPPING: AtomicBool = AtomicBool::new(false);
static LISTENER: AtomicI32 = AtomicI32::new(NOBODY);
static CLIENT: AtomicI32 = AtomicI32::new(NOBODY);

const NOBODY: i32 = -1;
/// `GRACE` in whole seconds, which is what alarm(2) takes.
const GRACE_SECONDS: u32 = 1;

/// Installs the handlers; the listener is the one to shut down, and so it is never to close.
pub(crate) fn install(listener: &'static TcpListener) -> io::Result<()> {
    LISTENER.store(listener.as_raw_fd(), Ordering::SeqCst);
    handle(libc::SIGTERM, on_stop, libc::SA_RESTART)?;
    handle(libc::SIGINT, on_stop, libc::SA_RESTART)?;
    handle(libc::SIGALRM, on_alarm, libc::SA_RESTART)?;
    handle(libc::SIGUSR1, on_nothing, 0)
}

/// Whether the end has been asked for.
pub(crate) fn is_stopping() -> bool {
    STOPPING.load(Ordering::SeqCst)
}

/// Names the one client that is being served, until it is dropped.
#[derive(Debug)]
pub(crate) struct OnlyClient<'a> {
    stream: &'a TcpStream,
}

impl<'a> OnlyClient<'a> {
    pub(crate) fn new(stream: &'a TcpStream) -> OnlyClient<'a> {
        CLIENT.store(stream.as_raw_fd(), Ordering::SeqCst);
        if is_stopping() {
            // The signal came between accepting and this: its handler saw nobody.
            shutdown(stream.as_raw_fd(), libc::SHUT_RD);
        }
        OnlyClient { stream }
    }
}

impl std::ops::Deref for OnlyClient<'_> {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        self.stream
    }
}

impl Drop for OnlyClient<'_> {
    fn drop(&mut self) {
        // Before the descriptor closes, so that the handler never meets a stranger under its number.
        CLIENT.store(NOBODY, Ordering::SeqCst);
    }
}

fn handle(signal: i32, handler: extern "C" fn(i32), flags: i32) -> io::Result<()> {
    // SAFETY: `sigaction` is a plain C structure of integers, for which all zeros are a valid value:
    // no flags, an empty mask, the default action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as libc::sighandler_t;
    action.sa_flags = flags;
    // SAFETY: `action` is initialised and lives through the call, which copies it; the old action is
    // not asked for. The handler only calls what signal-safety(7) lists, and touches only atomics.
    let outcome = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

extern "C" fn on_stop(signal: i32) {
    if STOPPING.swap(true, Ordering::SeqCst) {
        // Asked a second time: at once.
        // SAFETY: _exit(2) takes any status, may be called by a handler, and does not return.
        unsafe { libc::_exit(128 + signal) }
    }
    keeping_errno(|| {
        shutdown(LISTENER.load(Ordering::SeqCst), libc::SHUT_RDWR);
        let client = CLIENT.load(Ordering::SeqCst);
        if client != NOBODY {
            shutdown(client, libc::SHUT_RD);
            // SAFETY: alarm(2) takes any number and may be called by a handler.
            unsafe { libc::alarm(GRACE_SECONDS) };
        }
    });
}

extern "C" fn on_alarm(_signal: i32) {
    keeping_errno(|| {
        let client = CLIENT.load(Ordering::SeqCst);
        if client != NOBODY {
            shutdown(client, libc::SHUT_RDWR);
        }
    });
}

extern "C" fn on_nothing(_signal: i32) {}

/// Ends a socket. It may have ended by itself, and the answer would interest nobody.
fn shutdown(descriptor: i32, how: i32) {
    // SAFETY: shutdown(2) takes two integers and no memory; a number that is no open socket is an
    // error and nothing else. That it is not somebody else's: the listener is never closed, and
    // `OnlyClient` takes a client's number back before it closes.
    unsafe { libc::shutdown(descriptor, how) };
}

/// What a handler interrupts may be about to look at its errno.
fn keeping_errno(body: impl FnOnce()) {
    // SAFETY: the function has no preconditions; it returns this thread's errno, which is always
    // there.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the pointer is valid for reads for as long as the thread lives, and nobody else has it.
    let before = unsafe { errno.read() };
    body();
    // SAFETY: as above, for writes.
    unsafe { errno.write(before) };
}
