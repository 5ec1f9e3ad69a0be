//! Listeners for any Unix signal.
//!
//! Called by users; calls `sys::signal` for the counters and the reactor for the wake.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::context::{self, Core};
use crate::defer::poll_proceed;
use crate::hooks;
use crate::id::{RuntimeId, WaiterId};
use crate::inbox::Message;
use crate::reactor::PollReady;
use crate::reactor::source::ReadyWords;
use crate::ready::Interest;
use crate::recorder::event::Kind;
use crate::sys;
use crate::table::Key;
use crate::task_info::{WaitInfo, WaitOn};

/// Number of a signal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignalKind(i32);

impl SignalKind {
    /// Returns the signal with this number. [`signal`] checks whether it can be caught.
    #[must_use]
    pub const fn from_raw(signal: i32) -> Self {
        SignalKind(signal)
    }

    /// Returns the number of the signal.
    #[must_use]
    pub const fn as_raw_value(self) -> i32 {
        self.0
    }

    /// Returns SIGALRM: a timer of `alarm(2)` or `setitimer(2)` has expired.
    #[must_use]
    pub const fn alarm() -> Self {
        SignalKind(libc::SIGALRM)
    }

    /// Returns SIGCHLD: a child process has stopped or ended.
    #[must_use]
    pub const fn child() -> Self {
        SignalKind(libc::SIGCHLD)
    }

    /// Returns SIGHUP: the terminal was closed. Many servers reload their configuration.
    #[must_use]
    pub const fn hangup() -> Self {
        SignalKind(libc::SIGHUP)
    }

    /// Returns SIGINT: Ctrl-C in a terminal.
    #[must_use]
    pub const fn interrupt() -> Self {
        SignalKind(libc::SIGINT)
    }

    /// Returns SIGIO: a descriptor is ready that was set up with `O_ASYNC`; see `fcntl(2)`.
    #[must_use]
    pub const fn io() -> Self {
        SignalKind(libc::SIGIO)
    }

    /// Returns SIGPIPE: a write to a pipe or socket without a reader.
    #[must_use]
    pub const fn pipe() -> Self {
        SignalKind(libc::SIGPIPE)
    }

    /// Returns SIGQUIT: Ctrl-\ in a terminal.
    #[must_use]
    pub const fn quit() -> Self {
        SignalKind(libc::SIGQUIT)
    }

    /// Returns SIGTERM: the default signal of `kill(1)`.
    #[must_use]
    pub const fn terminate() -> Self {
        SignalKind(libc::SIGTERM)
    }

    /// Returns SIGUSR1: its meaning is up to the program.
    #[must_use]
    pub const fn user_defined1() -> Self {
        SignalKind(libc::SIGUSR1)
    }

    /// Returns SIGUSR2: its meaning is up to the program.
    #[must_use]
    pub const fn user_defined2() -> Self {
        SignalKind(libc::SIGUSR2)
    }

    /// Returns SIGWINCH: the size of the terminal has changed.
    #[must_use]
    pub const fn window_change() -> Self {
        SignalKind(libc::SIGWINCH)
    }
}

impl From<i32> for SignalKind {
    fn from(signal: i32) -> Self {
        SignalKind(signal)
    }
}

impl From<SignalKind> for i32 {
    fn from(kind: SignalKind) -> Self {
        kind.0
    }
}

impl fmt::Debug for SignalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignalKind({})", self.0)
    }
}

/// Creates a listener for a signal. The signal loses its default effect until the process ends. A
/// handler that other code has installed before, such as the `ctrlc` crate, is still called.
/// Code that installs a handler afterwards has to call the one that it replaces: otherwise no listener
/// receives the signal any more, also not one that is created later.
///
/// The signal is unblocked on this thread: a process inherits the signal mask of its parent, and a signal that
/// all threads block is never delivered. One that was pending is received by the new listener.
///
/// A daemon has to fork, and to close inherited descriptors, before the first call in the process: the
/// handler writes to a descriptor that stays open until the process ends. If it were closed, the
/// handler would write into whatever file gets its number.
///
/// # Errors
///
/// `InvalidInput` for a number that is not a signal, and for signals that cannot or must not be
/// caught: SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, and 32 up to those before SIGRTMIN, which the C
/// library uses. Otherwise the error of opening or registering the eventfd for signals.
///
/// # Panics
///
/// Panics when there is no runtime on this thread.
///
/// # Examples
///
/// ```no_run
/// use wakeful::signal::unix::{SignalKind, signal};
///
/// wakeful::block_on(async {
///     // Created before anything else starts, so that no signal is missed.
///     let mut hangup = signal(SignalKind::hangup())?;
///     while hangup.recv().await.is_some() {
///         println!("reloading the configuration");
///     }
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
///
/// See `sigaction(2)`.
#[track_caller]
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    let core = context::require("signal");
    // Counted from before the handler is installed, so that a signal right after it is received.
    let seen = sys::signal::caught(kind.0);
    let event = sys::signal::catch(kind.0)?;
    let (source, words) = core.signal_source(event)?;
    let waiter = core.reactor.next_waiter();
    Ok(Signal {
        kind,
        runtime: core.id,
        source,
        words,
        waiter,
        seen,
    })
}

/// Listener for one signal; created by [`signal`].
///
/// Signals that arrive before the last one was received are merged into one, as in the kernel.
#[derive(Debug)]
pub struct Signal {
    kind: SignalKind,
    runtime: RuntimeId,
    source: Key,
    words: ReadyWords,
    waiter: WaiterId,
    /// Count of the signal when it was last received.
    seen: u64,
}

impl Signal {
    /// Waits for the signal.
    ///
    /// Returns `None` if the runtime has ended, and `Some` otherwise. The type is that of tokio.
    ///
    /// # Panics
    ///
    /// Polling panics on a thread that is not running the listener's runtime.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a signal that has arrived stays until it is received.
    #[track_caller]
    pub fn recv(&mut self) -> Recv<'_> {
        Recv {
            signal: self,
            location: Location::caller(),
        }
    }

    /// Same as [`recv`](Self::recv), for use in a `poll` function.
    ///
    /// # Panics
    ///
    /// Panics on a thread that is not running the listener's runtime.
    #[track_caller]
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        self.poll_at(cx, Location::caller())
    }

    /// Returns the count of the signal when it was last received.
    pub(crate) fn received_count(&self) -> u64 {
        self.seen
    }

    pub(crate) fn poll_at(
        &mut self,
        cx: &mut Context<'_>,
        location: &'static Location<'static>,
    ) -> Poll<Option<()>> {
        let Some(core) = context::current_if(self.runtime) else {
            context::panic_if_wrong_thread(self.runtime, "Signal::recv", location);
            return Poll::Ready(None);
        };
        loop {
            let local = context::clone_local(cx.waker());
            let (interest, waker) = (Interest::READABLE, local.as_ref().unwrap_or(cx.waker()));
            let reactor = &core.reactor;
            let polled = reactor.poll_ready_external(self.source, interest, self.waiter, waker);
            // After the waker was stored, because cloning it can run user code.
            let caught = sys::signal::caught(self.kind.0);
            if caught != self.seen {
                reactor.remove_waiter(self.source, self.waiter);
                ready!(poll_proceed(cx));
                self.seen = caught;
                return Poll::Ready(Some(()));
            }
            match polled {
                // Some signal was caught: the count says which, so it is read again after the clear.
                PollReady::Ready(event) => self.words.of(self.source).clear(event, event.ready()),
                PollReady::Gone => return Poll::Ready(None),
                PollReady::Pending => {
                    core.executor.set_wait(|| WaitInfo {
                        operation: "Signal::recv",
                        location,
                        since_ns: core.timers.loop_now_ns(),
                        on: WaitOn::signal(self.kind.0),
                    });
                    return Poll::Pending;
                }
            }
        }
    }

    /// Removes the waker that is stored, if there is one.
    fn cancel_wait(&self) {
        match context::current_if(self.runtime) {
            Some(core) => core.reactor.remove_waiter(self.source, self.waiter),
            None => {
                let message = Message::RemoveWaiter(self.source, self.waiter);
                context::send(self.runtime, message);
            }
        }
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        self.cancel_wait();
    }
}

/// The future of [`Signal::recv`].
#[must_use = "futures do nothing unless awaited"]
#[derive(Debug)]
pub struct Recv<'a> {
    signal: &'a mut Signal,
    location: &'static Location<'static>,
}

impl Future for Recv<'_> {
    type Output = Option<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let location = self.location;
        self.signal.poll_at(cx, location)
    }
}

impl Drop for Recv<'_> {
    fn drop(&mut self) {
        self.signal.cancel_wait();
    }
}

impl Core {
    /// Returns the source of the process's signal eventfd; registers it in the first call.
    pub(crate) fn signal_source(
        &self,
        event: std::os::fd::BorrowedFd<'static>,
    ) -> std::io::Result<(Key, ReadyWords)> {
        let mut signals = self.signals.borrow_mut();
        if let Some(source) = &*signals {
            return Ok(source.clone());
        }
        let source = self.reactor.register(event, Interest::READABLE)?;
        if hooks::any() {
            self.record_source(Kind::SourceAdded, source.0);
        }
        Ok(signals.insert(source).clone())
    }
}
