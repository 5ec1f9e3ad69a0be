//! Catches Unix signals and turns them into something epoll can report.
//!
//! Called by [`crate::signal`]. A signal handler may do next to nothing, so ours does two things:
//! it adds one to the signal's counter and writes one eventfd that the whole process shares. Every
//! runtime that waits for a signal watches that eventfd, edge-triggered, and compares counters:
//!
//! ```text
//!  kernel --> handler: COUNTS[n] += 1; write(eventfd)
//!                                        | one edge to every epoll that watches it
//!                                        v
//!              each Signal: COUNTS[n] != the count I last saw?  --> recv() is ready
//! ```
//!
//! Rejected: `signalfd(2)`, because it needs the signal blocked, and a mask is inherited by child
//! processes: they would be born deaf to SIGINT. Also rejected: one pipe per listener (the handler
//! would have to walk a list that another thread may be changing).
//!
//! See `sigaction(2)`, `signal-safety(7)`.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::check;
use super::eventfd::EventFd;

/// Signals are numbered from 1 to 64 on Linux, the real-time ones included.
const SIGNALS: usize = 65;

/// How often each signal was caught. Written by the handler (Release), read by `caught` (Acquire).
static COUNTS: [AtomicU64; SIGNALS] = [const { AtomicU64::new(0) }; SIGNALS];

/// The eventfd that the handler writes; opened by the first `catch`, never closed.
static EVENT: OnceLock<EventFd> = OnceLock::new();

/// The descriptor of [`EVENT`], for the handler, which must not touch a `OnceLock`.
static EVENT_FD: AtomicI32 = AtomicI32::new(-1);

/// Which signals our handler is installed for.
static CAUGHT: Mutex<[bool; SIGNALS]> = Mutex::new([false; SIGNALS]);

/// How often `signal` has been caught since the process began.
pub(crate) fn caught(signal: i32) -> u64 {
    // Pairs with the Release in `on_signal`: who sees the count sees what came before it.
    usize::try_from(signal)
        .ok()
        .and_then(|n| COUNTS.get(n))
        .map_or(0, |n| n.load(Ordering::Acquire))
}

/// Installs the handler for `signal` (once) and returns the descriptor on which it reports.
///
/// # Errors
///
/// `InvalidInput` for a number that is no signal or one that cannot or must not be caught:
/// SIGKILL, SIGSTOP, and those by which the processor reports a broken program.
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
    if index == 0 || index >= SIGNALS || REFUSED.contains(&signal) {
        let message = format!("signal {signal} cannot be caught");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    // Everything under this lock is our own and does not panic.
    let mut caught = CAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
    let event = match EVENT.get() {
        Some(event) => event,
        None => {
            let event = EventFd::new()?;
            EVENT_FD.store(event.as_fd().as_raw_fd(), Ordering::Release);
            EVENT.get_or_init(|| event)
        }
    };
    if !caught[index] {
        install(signal)?;
        caught[index] = true;
    }
    Ok(event.as_fd())
}

fn install(signal: i32) -> io::Result<()> {
    let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `mask` is a live place for a sigset_t, which the call fills.
    check(unsafe { libc::sigemptyset(mask.as_mut_ptr()) })?;
    let action = libc::sigaction {
        sa_sigaction: on_signal as extern "C" fn(libc::c_int) as usize,
        // SAFETY: `sigemptyset` has filled it.
        sa_mask: unsafe { mask.assume_init() },
        // SA_RESTART: other people's blocking calls go on as if nothing had been.
        sa_flags: libc::SA_RESTART,
        sa_restorer: None,
    };
    // SAFETY: `action` is live and initialised and copied by the kernel; its handler does only what
    // signal-safety(7) allows; a null pointer asks for no copy of the old action.
    check(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) })?;
    Ok(())
}

/// Runs in the middle of whatever the thread was doing: atomics and `write(2)` only.
extern "C" fn on_signal(signal: libc::c_int) {
    if let Some(count) = usize::try_from(signal).ok().and_then(|n| COUNTS.get(n)) {
        // Pairs with the Acquire in `caught`.
        count.fetch_add(1, Ordering::Release);
    }
    // SAFETY: errno's place is the thread's own and always valid.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above; the interrupted code may be about to read it, so it is put back below.
    let saved = unsafe { *errno };
    let one = 1u64.to_ne_bytes();
    // Pairs with the Release in `catch`, which ran before any handler was installed.
    let fd = EVENT_FD.load(Ordering::Acquire);
    loop {
        // SAFETY: `one` is 8 live bytes; the descriptor is never closed.
        let written = unsafe { libc::write(fd, one.as_ptr().cast(), one.len()) };
        // SAFETY: as above.
        let interrupted = written == -1 && unsafe { *errno } == libc::EINTR;
        // Any other failure needs no answer: a full counter has reported its edge already.
        if !interrupted {
            break;
        }
    }
    // SAFETY: as above.
    unsafe { *errno = saved };
}
