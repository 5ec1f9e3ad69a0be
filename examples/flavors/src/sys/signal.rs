//! Shutdown on SIGTERM and SIGINT, through the sockets that every model already waits for.
//!
//! ```text
//! SIGTERM --> handler --> shutdown(listener) --> accept(2) fails with EINVAL in every model:
//!                |                               blocked, spinning, in epoll, in io_uring
//!                +------> shutdown(client, SHUT_RD), for models with one client at a time, which
//!                |        can be blocked in recv(2); others shut down their clients themselves
//!                +------> alarm(1): closes that client if it does not read its answers
//! ```
//!
//! Rejected: a flag and `EINTR`. A signal that arrives just before a blocking call sets the flag,
//! and the call blocks nevertheless. A socket that has been shut down stays shut down.
//!
//! SIGUSR1 has an empty handler that interrupts system calls (no `SA_RESTART`). With it, tests
//! check that every model handles `EINTR`.
//!
//! See signal-safety(7): a handler may call shutdown(2), alarm(2) and _exit(2).

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// Whether a shutdown was requested. Written by the handler, read by the program.
///
/// The handler can run on any thread and needs only the latest values. `SeqCst` for all three
/// statics, because it is the simplest ordering and speed does not matter here.
static STOPPING: AtomicBool = AtomicBool::new(false);
/// Descriptor of the listener. Written by the program, read by the handler.
static LISTENER: AtomicI32 = AtomicI32::new(NONE);
/// Descriptor of the only client. Written by the program, read by the handler.
static CLIENT: AtomicI32 = AtomicI32::new(NONE);

const NONE: i32 = -1;
/// `SHUTDOWN_TIMEOUT` in whole seconds, the unit of alarm(2).
const SHUTDOWN_TIMEOUT_SECONDS: u32 = 1;

/// Installs the handlers. The listener must stay open, because they shut it down by its number.
pub(crate) fn install(listener: &'static TcpListener) -> io::Result<()> {
    LISTENER.store(listener.as_raw_fd(), Ordering::SeqCst);
    handle(libc::SIGTERM, on_stop, libc::SA_RESTART)?;
    handle(libc::SIGINT, on_stop, libc::SA_RESTART)?;
    handle(libc::SIGALRM, on_alarm, libc::SA_RESTART)?;
    handle(libc::SIGUSR1, ignore, 0)
}

/// Returns whether a shutdown was requested.
pub(crate) fn is_stopping() -> bool {
    STOPPING.load(Ordering::SeqCst)
}

/// The client that a model with one client at a time serves. Registered for the handler until drop.
#[derive(Debug)]
pub(crate) struct OnlyClient<'a> {
    stream: &'a TcpStream,
}

impl<'a> OnlyClient<'a> {
    pub(crate) fn new(stream: &'a TcpStream) -> OnlyClient<'a> {
        CLIENT.store(stream.as_raw_fd(), Ordering::SeqCst);
        if is_stopping() {
            // The signal arrived between accept and the store above: the handler saw no client.
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
        // Before the descriptor is closed, so that the handler never shuts down another socket that
        // was given the same number.
        CLIENT.store(NONE, Ordering::SeqCst);
    }
}

fn handle(signal: i32, handler: extern "C" fn(i32), flags: i32) -> io::Result<()> {
    // SAFETY: `sigaction` is a plain C structure of integers, for which all zeros are a valid
    // value: no flags, an empty mask, the default action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as libc::sighandler_t;
    action.sa_flags = flags;
    // SAFETY: `action` is initialized and lives through the call, which copies it. The pointer for
    // the old action is null, so nothing is written. The handlers only call functions that
    // signal-safety(7) lists, and access only atomics and errno.
    let outcome = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

extern "C" fn on_stop(signal: i32) {
    if STOPPING.swap(true, Ordering::SeqCst) {
        // The second request ends the process at once.
        // SAFETY: _exit(2) takes any status, is async-signal-safe, and does not return.
        unsafe { libc::_exit(128 + signal) }
    }
    preserving_errno(|| {
        shutdown(LISTENER.load(Ordering::SeqCst), libc::SHUT_RDWR);
        let client = CLIENT.load(Ordering::SeqCst);
        if client != NONE {
            shutdown(client, libc::SHUT_RD);
            // SAFETY: alarm(2) takes any number and is async-signal-safe.
            unsafe { libc::alarm(SHUTDOWN_TIMEOUT_SECONDS) };
        }
    });
}

extern "C" fn on_alarm(_signal: i32) {
    preserving_errno(|| {
        let client = CLIENT.load(Ordering::SeqCst);
        if client != NONE {
            shutdown(client, libc::SHUT_RDWR);
        }
    });
}

extern "C" fn ignore(_signal: i32) {}

/// Shuts a socket down. An error is ignored: the connection can have ended already.
fn shutdown(descriptor: i32, how: i32) {
    // SAFETY: shutdown(2) takes two integers and no memory. A number that is not an open socket
    // only causes an error. The number cannot belong to another socket: the listener is never
    // closed, and `OnlyClient` removes a client's number before the client is closed.
    unsafe { libc::shutdown(descriptor, how) };
}

/// Restores errno after `body`, because the interrupted code can be about to read it.
fn preserving_errno(body: impl FnOnce()) {
    // SAFETY: the function has no preconditions; it returns this thread's errno, which is always
    // there.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the pointer is valid for reads while the thread lives, and only this thread uses it.
    let before = unsafe { errno.read() };
    body();
    // SAFETY: as above, for writes.
    unsafe { errno.write(before) };
}
