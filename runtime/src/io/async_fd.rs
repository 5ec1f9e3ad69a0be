//! [`AsyncFd`]: a descriptor that a runtime watches, with its future and its guard.
//!
//! Called by `wakeful-net` and by users with descriptors of their own; calls
//! [`registration`](super::registration), which waits. The three types are in one file because they
//! refer to one another:
//!
//! ```text
//!  AsyncFd::readable() --> Readiness (the future) --await--> AsyncFdReadyGuard
//!                            |                                 try_io, clear_ready
//!                            +-- poll_io, poll_transfer: wait, try, and clear in one call
//! ```
//!
//! The registration is the first field of an `AsyncFd`, so it is dropped first: the source's row is
//! free before the descriptor closes (I4).

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::registration::{IoWait, Registration};
use super::{Interest, IoCount, Ready};
use crate::context;
use crate::reactor::source::ReadyEvent;

/// Makes any descriptor that epoll can watch usable in async code.
///
/// The descriptor has to be in non-blocking mode. This type waits, and the caller supplies the
/// operation. The pattern is always the same: wait until the descriptor is ready, try the operation,
/// and if it would block, clear the readiness and wait again. [`async_io`](Self::async_io) is that
/// pattern. [`readable`](Self::readable) with [`AsyncFdReadyGuard::try_io`] is the same in separate
/// steps.
///
/// Any number of tasks can wait on one `AsyncFd`, in either direction. Readiness wakes them all.
///
/// An `AsyncFd` belongs to the runtime on whose thread it was made. It can be dropped on any thread.
/// Using it on another thread, or while another runtime runs, panics. Using it after its runtime has
/// ended returns an error.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
/// use wakeful::io::{AsyncFd, Interest};
///
/// wakeful::block_on(async {
///     let (here, mut there) = UnixStream::pair()?;
///     here.set_nonblocking(true)?;
///     let here = AsyncFd::new(here)?;
///     there.write_all(b"hi")?;
///     let mut buffer = [0; 8];
///     let n = here.async_io(Interest::READABLE, |mut fd| fd.read(&mut buffer)).await?;
///     assert_eq!(&buffer[..n], b"hi");
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
pub struct AsyncFd<T: AsFd> {
    // Before `inner`: fields are dropped in this order (I4).
    pub(super) registration: Registration,
    inner: T,
}

impl<T: AsFd> AsyncFd<T> {
    /// Registers a descriptor for reading and writing.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` (EPERM) for a regular file, a directory or `/dev/null`, which epoll cannot
    /// watch; use [`spawn_blocking`](crate::task::spawn_blocking), or [`stdin`](crate::io::stdin) and
    /// [`stdout`](crate::io::stdout). `AlreadyExists` (EEXIST) when the descriptor is registered already:
    /// the errno of these is part of the message only. `StorageFull` (ENOSPC) at the system's limit of
    /// watches, `OutOfMemory`. Then the value is dropped, and nothing stays registered.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    ///
    /// See `epoll_ctl(2)`.
    #[track_caller]
    pub fn new(inner: T) -> io::Result<Self> {
        Self::register(inner, Interest::READABLE | Interest::WRITABLE, true)
    }

    /// Registers a descriptor for the given directions only.
    ///
    /// Operations in another direction return an error, because the kernel would not report the end of the wait.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[track_caller]
    pub fn with_interest(inner: T, interest: Interest) -> io::Result<Self> {
        Self::register(inner, interest, true)
    }

    /// Registers a descriptor that was not duplicated and that closes when `inner` is dropped.
    ///
    /// Closing the last descriptor of a file removes it from epoll, so dropping this `AsyncFd` saves the
    /// system call that deregisters. If there is a duplicate after all, stale events arrive and wake no
    /// task; call [`mark_duplicated`](Self::mark_duplicated) in that case.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[track_caller]
    pub fn new_exclusive(inner: T) -> io::Result<Self> {
        Self::register(inner, Interest::READABLE | Interest::WRITABLE, false)
    }

    #[track_caller]
    fn register(inner: T, interest: Interest, explicit: bool) -> io::Result<Self> {
        let core = context::require("registering a descriptor");
        let registration = Registration::new(&core, inner.as_fd(), interest, explicit)?;
        Ok(AsyncFd {
            registration,
            inner,
        })
    }

    /// Records that a descriptor registered by [`new_exclusive`](Self::new_exclusive) was duplicated, so
    /// that dropping this deregisters it explicitly.
    pub fn mark_duplicated(&self) {
        self.registration.deregister_explicitly();
    }

    /// Presets readiness, so that the next operation is tried at once, and wakes the tasks that wait
    /// for it.
    ///
    /// If the descriptor is not ready, the operation would block, which clears the readiness again. A
    /// new stream socket, for example, has room to write.
    pub fn assume_ready(&self, ready: Ready) {
        self.registration.preset(ready.with_trouble());
    }

    /// Returns the value.
    #[inline]
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Returns the value for changes. Its descriptor must stay the same.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Deregisters the descriptor and returns the value.
    #[must_use = "dropping the value closes its descriptor"]
    pub fn into_inner(self) -> T {
        let AsyncFd {
            registration,
            inner,
        } = self;
        registration.deregister_explicitly();
        drop(registration);
        inner
    }

    /// Waits until the descriptor is ready in one of the given directions.
    ///
    /// # Errors
    ///
    /// When the runtime has ended. `InvalidInput` when the descriptor was registered for none of the
    /// directions ([`with_interest`](Self::with_interest)).
    ///
    /// # Panics
    ///
    /// Polling panics on a thread that is not running the descriptor's runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe: readiness stays until an operation disproves it.
    #[track_caller]
    #[inline]
    pub fn ready(&self, interest: Interest) -> Readiness<'_, T> {
        Readiness::new(self, interest, "AsyncFd::ready", Location::caller())
    }

    /// Waits until a read would not block: data, end of stream, or an error.
    ///
    /// Errors, panics and cancel safety as [`ready`](Self::ready).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::UnixStream;
    /// use wakeful::io::AsyncFd;
    ///
    /// wakeful::block_on(async {
    ///     let (here, mut there) = UnixStream::pair()?;
    ///     here.set_nonblocking(true)?;
    ///     let here = AsyncFd::new(here)?;
    ///     there.write_all(b"hi")?;
    ///     let mut buffer = [0; 8];
    ///     let n = loop {
    ///         let mut guard = here.readable().await?;
    ///         // `Err`: it would block. The guard has cleared the readiness, so the next wait waits.
    ///         if let Ok(result) = guard.try_io(|fd| fd.get_ref().read(&mut buffer)) {
    ///             break result?;
    ///         }
    ///     };
    ///     assert_eq!(&buffer[..n], b"hi");
    ///     std::io::Result::Ok(())
    /// }).unwrap();
    /// ```
    #[track_caller]
    #[inline]
    pub fn readable(&self) -> Readiness<'_, T> {
        Readiness::new(
            self,
            Interest::READABLE,
            "AsyncFd::readable",
            Location::caller(),
        )
    }

    /// Waits until a write would not block: room, or an error.
    ///
    /// Errors, panics and cancel safety as [`ready`](Self::ready).
    #[track_caller]
    #[inline]
    pub fn writable(&self) -> Readiness<'_, T> {
        Readiness::new(
            self,
            Interest::WRITABLE,
            "AsyncFd::writable",
            Location::caller(),
        )
    }

    /// Returns the readiness that is known now, without waiting; `None` if there is none.
    ///
    /// # Panics
    ///
    /// On a thread that is not running the descriptor's runtime.
    #[track_caller]
    #[inline]
    pub fn try_ready(&self, interest: Interest) -> Option<AsyncFdReadyGuard<'_, T>> {
        let event = self.registration.try_ready(interest, Location::caller())?;
        Some(AsyncFdReadyGuard {
            fd: self,
            interest,
            event,
        })
    }

    /// Waits until the descriptor is readable, from inside a `poll` function.
    ///
    /// Several tasks can poll, and each is woken. Futures should use a [`Readiness`] instead, which
    /// removes its waker when it is dropped.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    ///
    /// # Panics
    ///
    /// On a thread that is not running the descriptor's runtime.
    #[track_caller]
    pub fn poll_read_ready<'a>(
        &'a self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        self.readable()
            .operation("AsyncFd::poll_read_ready")
            .by_waker()
            .poll_guard(cx)
    }

    /// Waits until the descriptor is writable, from inside a `poll` function.
    ///
    /// Errors and panics as [`poll_read_ready`](Self::poll_read_ready).
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    #[track_caller]
    pub fn poll_write_ready<'a>(
        &'a self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        self.writable()
            .operation("AsyncFd::poll_write_ready")
            .by_waker()
            .poll_guard(cx)
    }

    /// Tries an operation if the descriptor is known to be ready. Never waits.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the descriptor is not ready or the operation would block; `InvalidInput` when it
    /// was registered for none of the directions; otherwise the operation's own.
    ///
    /// # Panics
    ///
    /// On a thread that is not running the descriptor's runtime.
    #[track_caller]
    pub fn try_io<R>(
        &self,
        interest: Interest,
        operation: impl FnOnce(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        match self.try_ready(interest) {
            None => Err(self.not_ready(interest, "AsyncFd::try_io")),
            Some(mut guard) => guard
                .try_io(|fd| operation(fd.get_ref()))
                .unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into())),
        }
    }

    /// Tries an operation whenever the descriptor is ready, until it does not return `WouldBlock`.
    ///
    /// # Errors
    ///
    /// The operation's own, or as [`ready`](Self::ready).
    ///
    /// # Panics
    ///
    /// Polling panics on a thread that is not running the descriptor's runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe: the last attempt has returned its result or `WouldBlock`.
    #[track_caller]
    pub fn async_io<R, F>(&self, interest: Interest, operation: F) -> AsyncIo<'_, T, F>
    where
        F: FnMut(&T) -> io::Result<R>,
    {
        let location = Location::caller();
        let readiness = Readiness::new(self, interest, "AsyncFd::async_io", location);
        AsyncIo {
            readiness,
            operation,
        }
    }

    /// Tries an operation that moves bytes if the descriptor is ready, without waiting.
    ///
    /// As in [`Readiness::poll_transfer`], a transfer of fewer bytes than requested clears readiness.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the descriptor is not ready or the operation would block; otherwise the
    /// operation's own.
    ///
    /// # Panics
    ///
    /// On a thread that is not running the descriptor's runtime.
    #[track_caller]
    #[inline]
    pub fn try_transfer(
        &self,
        interest: Interest,
        operation: impl FnOnce(&T) -> io::Result<IoCount>,
    ) -> io::Result<usize> {
        match self.registration.try_ready(interest, Location::caller()) {
            Some(event) => self.transfer(event, interest, operation),
            None => Err(self.not_ready(interest, "AsyncFd::try_transfer")),
        }
    }

    /// Returns the error of an attempt that was not made.
    #[cold]
    #[track_caller]
    pub(super) fn not_ready(&self, interest: Interest, operation: &'static str) -> io::Error {
        let wait = IoWait::new(interest, operation, Location::caller());
        self.registration.not_ready(&wait)
    }

    /// Runs a transfer and clears the readiness that it has disproved.
    #[inline]
    fn transfer(
        &self,
        event: ReadyEvent,
        interest: Interest,
        operation: impl FnOnce(&T) -> io::Result<IoCount>,
    ) -> io::Result<usize> {
        match operation(&self.inner) {
            Ok(count) => {
                if count.is_short() && !event.ready().intersects(Ready::LASTING) {
                    self.registration.clear(event, interest.mask());
                }
                Ok(count.transferred())
            }
            Err(error) => {
                if error.kind() == io::ErrorKind::WouldBlock {
                    self.registration.clear(event, interest.mask());
                }
                Err(error)
            }
        }
    }
}

impl<T: AsFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl<T: AsFd> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_fd().as_raw_fd()
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFd")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

/// Waits until a descriptor is ready; made by [`AsyncFd::ready`] and its siblings.
///
/// Unlike most futures it can be polled again after it was ready, and then waits for the
/// descriptor's next readiness. So an operation that loops over "wait, try" needs only one.
///
/// Each `Ready` takes one operation off the task's I/O budget. When that is used up, the task yields to
/// the others first. See [`Builder::io_budget`](crate::runtime::Builder::io_budget).
///
/// # Panics
///
/// Polling panics on a thread that is not running the descriptor's runtime.
///
/// # Cancel safety
///
/// Safe: dropping it while it waits removes its waker and nothing else.
#[must_use = "futures do nothing unless awaited"]
pub struct Readiness<'a, T: AsFd> {
    fd: &'a AsyncFd<T>,
    wait: IoWait,
}

impl<'a, T: AsFd> Readiness<'a, T> {
    #[inline]
    fn new(
        fd: &'a AsyncFd<T>,
        interest: Interest,
        operation: &'static str,
        location: &'static Location<'static>,
    ) -> Self {
        Readiness {
            fd,
            wait: IoWait::new(interest, operation, location),
        }
    }

    /// Sets the operation in the info of the task that waits: `"TcpStream::read"`.
    #[inline]
    pub fn operation(mut self, operation: &'static str) -> Self {
        self.wait.operation = operation;
        self
    }

    /// Sets the source location in the info of the task that waits, for futures that begin to wait at
    /// another place than the user's call.
    #[inline]
    pub fn location(mut self, location: &'static Location<'static>) -> Self {
        self.wait.location = location;
        self
    }

    /// Identifies the wait by its waker instead of by this value: for `poll_*` functions, which keep
    /// nothing between their calls. The waker stays stored when this value is dropped.
    ///
    /// Each task of the runtime that polls is woken. External wakers are those of combinators such as
    /// `FuturesUnordered` and of other executors. At least the 16 of them that polled last are woken.
    #[inline]
    pub fn by_waker(mut self) -> Self {
        self.wait.by_waker = true;
        self
    }

    /// Tries an operation whenever the descriptor is ready, until it does not return `WouldBlock`:
    /// waiting, trying and clearing in one call, for custom futures.
    ///
    /// # Errors
    ///
    /// The operation's own; or when the runtime has ended.
    ///
    /// # Panics
    ///
    /// On a thread that is not running the descriptor's runtime.
    #[inline]
    pub fn poll_io<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let AsyncFd {
            registration,
            inner,
        } = self.fd;
        loop {
            let event = ready!(registration.poll_ready(&mut self.wait, cx))?;
            match operation(inner) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    registration.clear(event, self.wait.interest.mask());
                }
                result => return Poll::Ready(result),
            }
        }
    }

    /// As [`poll_io`](Self::poll_io), for an operation that moves bytes. A transfer of fewer bytes than
    /// requested clears readiness as well, see [`IoCount`]. It does not if the end of the stream or an
    /// error was reported, because their event has come already.
    ///
    /// # Errors
    ///
    /// The operation's own; or when the runtime has ended.
    ///
    /// # Panics
    ///
    /// On a thread that is not running the descriptor's runtime.
    #[inline]
    pub fn poll_transfer(
        &mut self,
        cx: &mut Context<'_>,
        mut operation: impl FnMut(&T) -> io::Result<IoCount>,
    ) -> Poll<io::Result<usize>> {
        let (fd, interest) = (self.fd, self.wait.interest);
        loop {
            let event = ready!(fd.registration.poll_ready(&mut self.wait, cx))?;
            match fd.transfer(event, interest, &mut operation) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    #[inline]
    fn poll_guard(&mut self, cx: &Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        let (fd, interest) = (self.fd, self.wait.interest);
        let event = ready!(fd.registration.poll_ready(&mut self.wait, cx))?;
        Poll::Ready(Ok(AsyncFdReadyGuard {
            fd,
            interest,
            event,
        }))
    }
}

impl<'a, T: AsFd> Future for Readiness<'a, T> {
    type Output = io::Result<AsyncFdReadyGuard<'a, T>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_guard(cx)
    }
}

impl<T: AsFd> Drop for Readiness<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.wait.maybe_stored() {
            self.fd.registration.cancel_wait(&self.wait);
        }
    }
}

impl<T: AsFd> fmt::Debug for Readiness<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness")
            .field("interest", &self.wait.interest)
            .field("operation", &self.wait.operation)
            .field("location", &self.wait.location)
            .finish_non_exhaustive()
    }
}

/// A descriptor that was ready a moment ago.
///
/// Readiness stays stored, and the next wait returns at once, until it is cleared: by
/// [`try_io`](Self::try_io) when the operation returns `WouldBlock`, by
/// [`short_transfer`](Self::short_transfer), or by [`clear_ready`](Self::clear_ready).
#[must_use = "readiness stays stored until an operation through the guard disproves it"]
pub struct AsyncFdReadyGuard<'a, T: AsFd> {
    fd: &'a AsyncFd<T>,
    interest: Interest,
    pub(super) event: ReadyEvent,
}

impl<'a, T: AsFd> AsyncFdReadyGuard<'a, T> {
    /// Returns the readiness that ended the wait.
    #[must_use]
    #[inline]
    pub fn ready(&self) -> Ready {
        self.event.ready().shown()
    }

    /// Returns the descriptor.
    #[must_use]
    #[inline]
    pub fn get_ref(&self) -> &'a AsyncFd<T> {
        self.fd
    }

    /// Returns the value in the [`AsyncFd`].
    #[must_use]
    #[inline]
    pub fn get_inner(&self) -> &'a T {
        self.fd.get_ref()
    }

    /// Tries an operation. If it returns `WouldBlock`, readiness is cleared.
    ///
    /// # Errors
    ///
    /// [`TryIoError`] when the operation would block: wait again. Every other result of the operation
    /// is the inner `Result`.
    #[inline]
    pub fn try_io<R>(
        &mut self,
        operation: impl FnOnce(&AsyncFd<T>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        match operation(self.fd) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // The kernel reports that there is nothing, not even an end of stream.
                self.clear(self.interest.mask());
                Err(TryIoError(()))
            }
            result => Ok(result),
        }
    }

    /// Clears readiness because an operation moved fewer bytes than requested: the kernel's buffer is
    /// empty or full, so the next attempt would block.
    ///
    /// With edge-triggered epoll a new event comes when that changes (`epoll(7)`, question 9).
    /// Readiness stays in two cases. After an end of stream, a hang-up or an error, that event can have
    /// come already. Before urgent data, a receive stops although more follows.
    #[inline]
    pub fn short_transfer(&mut self) {
        if !self.event.ready().intersects(Ready::LASTING) {
            self.clear(self.interest.mask());
        }
    }

    /// Clears readiness, except for a closed direction, which stays closed.
    ///
    /// Call it only after an operation has shown that the descriptor is not ready. Otherwise the next
    /// wait can last forever.
    pub fn clear_ready(&mut self) {
        self.clear_ready_matching(Ready::ALL);
    }

    /// Clears the given part of readiness, except for a closed direction, which stays closed.
    pub fn clear_ready_matching(&mut self, ready: Ready) {
        let closed = Ready::READ_CLOSED | Ready::WRITE_CLOSED;
        self.clear((self.interest.mask() & ready.with_hidden()) - closed);
    }

    /// Leaves readiness as it is, to state that in code.
    pub fn retain_ready(&mut self) {}

    #[inline]
    fn clear(&mut self, ready: Ready) {
        self.event = self.event.difference(ready);
        self.fd.registration.clear_shared(self.event, ready);
    }
}

impl<T: AsFd> fmt::Debug for AsyncFdReadyGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFdReadyGuard")
            .field("ready", &self.ready())
            .field("interest", &self.interest)
            .finish_non_exhaustive()
    }
}

/// The error of an operation that would have blocked: wait for readiness again.
#[derive(Debug)]
pub struct TryIoError(pub(super) ());

impl fmt::Display for TryIoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operation would block; wait until the descriptor is ready again")
    }
}

impl std::error::Error for TryIoError {}

/// The future of [`AsyncFd::async_io`].
#[must_use = "futures do nothing unless awaited"]
pub struct AsyncIo<'a, T: AsFd, F> {
    readiness: Readiness<'a, T>,
    operation: F,
}

// The operation is called, never pinned.
impl<T: AsFd, F> Unpin for AsyncIo<'_, T, F> {}

impl<T: AsFd, R, F> Future for AsyncIo<'_, T, F>
where
    F: FnMut(&T) -> io::Result<R>,
{
    type Output = io::Result<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        let AsyncIo {
            readiness,
            operation,
        } = self.get_mut();
        readiness.poll_io(cx, operation)
    }
}

impl<T: AsFd, F> fmt::Debug for AsyncIo<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncIo")
            .field("readiness", &self.readiness)
            .finish_non_exhaustive()
    }
}
