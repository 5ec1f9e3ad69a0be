//! Catches Unix signals and turns them into events of epoll.
//!
//! Called by [`crate::signal`]. A signal handler can safely do very little, so the handler of this
//! module does two things: it adds one to the counter of the signal and writes one eventfd that the
//! whole process shares. Every runtime that waits for a signal watches that eventfd, edge-triggered,
//! and compares counters:
//!
//! ```text
//!  kernel --> on_signal: COUNTS[n] += 1; write(eventfd)
//!                                        | one edge to every epoll that watches it
//!                                        v
//!              each Signal: COUNTS[n] != the last count it received?  --> recv() is ready
//! ```
//!
//! A handler that other code installed before is called after this one, so its owner still notices the
//! signal.
//!
//! Rejected: `signalfd(2)`, because it requires the signal to be blocked. Child processes inherit
//! the mask and would not react to SIGINT. Also rejected: one pipe per listener, because the handler
//! would have to walk a list that another thread can be changing.
//!
//! See `sigaction(2)`, `signal-safety(7)`.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::check;
use super::eventfd::EventFd;
use crate::kernel;

/// Size of a table by signal number. Linux numbers signals from 1 to 64, real-time ones included.
const SIGNALS: usize = 65;

/// Number of times that each signal was caught. Written by the handler (Release); read by `caught`
/// (Acquire).
static COUNTS: [AtomicU64; SIGNALS] = [const { AtomicU64::new(0) }; SIGNALS];

/// The eventfd that the handler writes. Opened by the first `catch`, never closed.
static EVENT: OnceLock<EventFd> = OnceLock::new();

/// Descriptor of [`EVENT`] for the handler, in which a `OnceLock` is not allowed.
static EVENT_FD: AtomicI32 = AtomicI32::new(-1);

/// Signals for which the handler is installed.
static CAUGHT: Mutex<[bool; SIGNALS]> = Mutex::new([false; SIGNALS]);

/// The handlers that were installed before, by signal.
static PREVIOUS: [Previous; SIGNALS] = [const { Previous::none() }; SIGNALS];

/// A handler of other code.
struct Previous {
    /// Its address; 0 if there is none. Written before the handler of this module is installed.
    handler: AtomicUsize,
    /// Whether it takes the three arguments of `SA_SIGINFO`.
    takes_info: AtomicBool,
}

impl Previous {
    const fn none() -> Self {
        Previous {
            handler: AtomicUsize::new(0),
            takes_info: AtomicBool::new(false),
        }
    }

    fn store(&self, action: &libc::sigaction) {
        if !is_handler(action) {
            self.handler.store(0, Ordering::Relaxed);
            return;
        }
        // Only the first `catch` of a signal stores a handler, so the two belong together.
        let takes_info = action.sa_flags & libc::SA_SIGINFO != 0;
        self.takes_info.store(takes_info, Ordering::Relaxed);
        // Pairs with the Acquire in `call`.
        self.handler.store(action.sa_sigaction, Ordering::Release);
    }

    fn call(&self, signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        type WithInfo = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
        type Plain = extern "C" fn(libc::c_int);
        let handler = self.handler.load(Ordering::Acquire);
        if handler == 0 {
            return;
        }
        if self.takes_info.load(Ordering::Relaxed) {
            // SAFETY: the kernel returned this address as a handler with SA_SIGINFO.
            let handler = unsafe { std::mem::transmute::<usize, WithInfo>(handler) };
            handler(signal, info, context);
        } else {
            // SAFETY: the kernel returned this address as a handler without SA_SIGINFO.
            let handler = unsafe { std::mem::transmute::<usize, Plain>(handler) };
            handler(signal);
        }
    }
}

/// Returns whether an action calls a function.
fn is_handler(action: &libc::sigaction) -> bool {
    !matches!(action.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN)
}

/// Returns how often `signal` was caught since the process started.
pub(crate) fn caught(signal: i32) -> u64 {
    if let Some(count) = caught_by_kernel(signal) {
        return count;
    }
    // Pairs with the Release in `on_signal`: what happened before the count is visible with it.
    usize::try_from(signal)
        .ok()
        .and_then(|n| COUNTS.get(n))
        .map_or(0, |n| n.load(Ordering::Acquire))
}

/// Returns how often an installed kernel has caught `signal`, if that kernel catches it. Such a signal does not exist
/// on other threads.
pub(crate) fn caught_by_kernel(signal: i32) -> Option<u64> {
    if kernel::any() {
        kernel::current()?.caught(signal)
    } else {
        None
    }
}

/// Installs the handler for `signal`, unblocks it on this thread, and returns the descriptor that the
/// handler writes.
///
/// Once per process, unless other code has set the default action or ignores the signal since. It is
/// not installed over another handler a second time, because that one can call this one.
///
/// # Errors
///
/// `InvalidInput` for a number that is not a signal, and for signals that cannot or must not be
/// caught: SIGKILL, SIGSTOP, those that report a fault of the program, and those of the C library. Also the
/// errors of `eventfd(2)`, `sigaction(2)` and `pthread_sigmask(3)`.
pub(crate) fn catch(signal: i32) -> io::Result<BorrowedFd<'static>> {
    const REFUSED: [libc::c_int; 6] = [
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
    ];
    let index = usize::try_from(signal).unwrap_or(0);
    // The C library keeps the first real-time signals for itself.
    let is_internal = (32..libc::SIGRTMIN()).contains(&signal);
    if index == 0 || index >= SIGNALS || is_internal || REFUSED.contains(&signal) {
        let message = format!(
            "signal {signal} cannot be caught: a listener needs one of 1 to 31 or of {} to 64, and neither \
             SIGKILL and SIGSTOP nor SIGSEGV, SIGBUS, SIGFPE and SIGILL",
            libc::SIGRTMIN()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    // No user code runs under this lock, and nothing under it panics.
    let mut caught = CAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
    let event = match EVENT.get() {
        Some(event) => event,
        None => {
            let event = EventFd::new()?;
            EVENT_FD.store(event.as_fd().as_raw_fd(), Ordering::Release);
            EVENT.get_or_init(|| event)
        }
    };
    if caught_by_kernel(signal).is_some() {
        return Ok(event.as_fd());
    }
    let current = action(signal)?;
    if !caught[index] || !is_handler(&current) {
        PREVIOUS[index].store(&current);
        install(signal)?;
        caught[index] = true;
    }
    // Last, because a signal that was blocked can be pending, and its default action would end the process.
    unblock(signal)?;
    Ok(event.as_fd())
}

/// Lets this thread receive a signal. A process inherits the mask of its parent, and a signal that every
/// thread blocks is never delivered.
fn unblock(signal: i32) -> io::Result<()> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `set` is live memory for a sigset_t, which the call fills.
    check(unsafe { libc::sigemptyset(set.as_mut_ptr()) })?;
    // SAFETY: `sigemptyset` has initialized it.
    check(unsafe { libc::sigaddset(set.as_mut_ptr(), signal) })?;
    // SAFETY: the set is live and initialized. A null pointer requests no copy of the old mask.
    let error =
        unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), std::ptr::null_mut()) };
    match error {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Returns the action of a signal.
fn action(signal: i32) -> io::Result<libc::sigaction> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: `action` is live memory for a sigaction, which the call fills. A null pointer requests no
    // change.
    check(unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) })?;
    // SAFETY: the call has succeeded.
    Ok(unsafe { action.assume_init() })
}

fn install(signal: i32) -> io::Result<()> {
    let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
    // All signals wait while the handler runs. Otherwise those that arrive together would nest, and
    // their frames would overflow an alternate stack.
    // SAFETY: `mask` is live memory for a sigset_t, which the call fills.
    check(unsafe { libc::sigfillset(mask.as_mut_ptr()) })?;
    let action = libc::sigaction {
        sa_sigaction: on_signal as extern "C" fn(_, _, _) as usize,
        // SAFETY: `sigfillset` has initialized it.
        sa_mask: unsafe { mask.assume_init() },
        // SA_RESTART: blocking calls of other code continue after the signal. SA_ONSTACK: a thread with
        // a small stack has an alternate one. SA_SIGINFO: for the handler that was installed before.
        sa_flags: libc::SA_RESTART | libc::SA_ONSTACK | libc::SA_SIGINFO,
        sa_restorer: None,
    };
    // SAFETY: `action` is live and initialized, and the kernel copies it. Its handler does only what
    // signal-safety(7) allows. A null pointer requests no copy of the old action.
    check(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) })?;
    Ok(())
}

/// Handles a signal: counts it, and calls the handler that was installed before.
extern "C" fn on_signal(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let Some(index) = usize::try_from(signal).ok().filter(|n| *n < SIGNALS) else {
        return;
    };
    // Pairs with the Acquire in `caught`.
    COUNTS[index].fetch_add(1, Ordering::Release);
    write_event();
    PREVIOUS[index].call(signal, info, context);
}

/// Writes the eventfd. Can interrupt any code of the thread, so it uses only atomics and `write(2)`.
fn write_event() {
    // SAFETY: `errno` is thread-local memory that is always valid.
    let errno = unsafe { libc::__errno_location() };
    // Restored below, because the interrupted code can be about to read it.
    // SAFETY: as above.
    let saved = unsafe { *errno };
    let one = 1u64.to_ne_bytes();
    // Pairs with the Release in `catch`, which ran before any handler was installed.
    let fd = EVENT_FD.load(Ordering::Acquire);
    loop {
        // SAFETY: `one` is 8 live bytes. The descriptor is never closed.
        let written = unsafe { libc::write(fd, one.as_ptr().cast(), one.len()) };
        // SAFETY: as above.
        let interrupted = written == -1 && unsafe { *errno } == libc::EINTR;
        // Other errors are ignored: a full counter has reported its edge already.
        if !interrupted {
            break;
        }
    }
    // SAFETY: as above.
    unsafe { *errno = saved };
}
