//! A descriptor that a runtime watches.
//!
//! Called by `wakeful-net` and by users with descriptors of their own; calls the reactor. An
//! `AsyncFd` owns the user's value and a [`Registration`], which is a number: the source's key and
//! the runtime's id. The registration is declared first, so it is dropped first: the source's slot
//! is free before the descriptor closes (I4).

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use super::guard::AsyncFdReadyGuard;
use super::readiness::Readiness;
use super::{Interest, Ready};
use crate::context;
use crate::id::RuntimeId;
use crate::reactor::seen::{Known, Seen};
use crate::slab::Key;

/// Names a source of a runtime and frees it when dropped.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) runtime: RuntimeId,
    pub(super) key: Key,
    pub(super) fd: RawFd,
    /// What operations on this handle know of the source's readiness.
    pub(super) seen: Seen,
    /// Whether dropping has to tell the kernel, or `close(2)` does. Written by
    /// `mark_duplicated`, read by `drop`; no other memory depends on it.
    explicit: AtomicBool,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let explicit = self.explicit.get_mut().then_some(self.fd);
        context::deregister(self.runtime, self.key, explicit);
    }
}

/// Makes any descriptor that epoll can watch usable in async code.
///
/// The descriptor has to be in non-blocking mode: this type waits, the operation itself is the
/// caller's. The pattern is always the same: wait until it is ready, try, and when the operation
/// would block after all, say so and wait again. [`async_io`](Self::async_io) is that pattern;
/// [`readable`](Self::readable) with [`AsyncFdReadyGuard::try_io`] is the same in separate steps.
///
/// Any number of tasks may wait on one `AsyncFd`, in either direction; readiness wakes them all.
///
/// An `AsyncFd` belongs to the runtime on whose thread it was made. It may be dropped anywhere.
/// Using it on another thread, or while another runtime runs, panics; using it after its runtime
/// has ended gives an error.
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
    registration: Registration,
    inner: T,
}

impl<T: AsFd> AsyncFd<T> {
    /// Registers a descriptor for reading and writing.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` (EPERM) for a regular file or directory, `AlreadyExists` (EEXIST) when
    /// the descriptor is registered already, `StorageFull` (ENOSPC) at the system's limit of
    /// watches, `OutOfMemory`. The value is dropped, and nothing stays registered.
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

    /// Registers a descriptor that nobody has duplicated and that closes when `inner` is dropped.
    ///
    /// Closing the last descriptor of a file takes it off epoll's list, so dropping this `AsyncFd`
    /// spares the system call that [`new`](Self::new) makes to deregister. Should the promise be
    /// broken, stale events arrive and wake nobody; call [`mark_duplicated`](Self::mark_duplicated)
    /// to take it back.
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
        // The user's own code, so it runs while nothing is borrowed.
        let fd = inner.as_fd();
        let added = context::with(|core| -> io::Result<Registration> {
            let key = core.reactor.add(fd, interest)?;
            core.executor.forget_news();
            Ok(Registration {
                runtime: core.id,
                key,
                fd: fd.as_raw_fd(),
                seen: Seen::default(),
                explicit: AtomicBool::new(explicit),
            })
        });
        match added {
            Some(registration) => Ok(AsyncFd {
                registration: registration?,
                inner,
            }),
            None => {
                context::expect("registering a descriptor");
                unreachable!("`expect` has panicked")
            }
        }
    }

    /// Takes back the promise of [`new_exclusive`](Self::new_exclusive): the descriptor was
    /// duplicated, so dropping this deregisters it explicitly.
    pub fn mark_duplicated(&self) {
        self.registration.explicit.store(true, Ordering::Relaxed);
    }

    /// Presets what is taken to be ready, so that the next operation is tried at once, and wakes
    /// whoever waits for that.
    ///
    /// Never wrong, at worst in vain: an operation that would block clears it again. A new stream
    /// socket, for example, has room to write.
    pub fn assume_ready(&self, ready: Ready) {
        if let Some(core) = context::get_if(self.registration.runtime) {
            let Registration { key, seen, .. } = &self.registration;
            core.assume_ready(*key, seen, ready.with_trouble());
        }
    }

    /// The value.
    #[inline]
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// The value, to change it. Do not exchange its descriptor.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Deregisters the descriptor and gives the value back.
    #[must_use = "dropping the value closes its descriptor"]
    pub fn into_inner(self) -> T {
        let AsyncFd {
            registration,
            inner,
        } = self;
        registration.explicit.store(true, Ordering::Relaxed);
        drop(registration);
        inner
    }

    /// Waits until the descriptor is ready in one of the given directions.
    ///
    /// # Errors
    ///
    /// When the runtime has ended.
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
    ///         // `Err`: it would block after all. The guard has seen to it that the next wait waits.
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

    /// What is known to be ready now, without waiting; `None` when nothing is.
    ///
    /// # Panics
    ///
    /// On a thread that is not running the descriptor's runtime.
    #[track_caller]
    #[inline(always)]
    pub fn try_ready(&self, interest: Interest) -> Option<AsyncFdReadyGuard<'_, T>> {
        let registration = &self.registration;
        let mut known = registration.seen.get().of(interest);
        // Believed as long as nothing has disproved it, so it need not be asked for again.
        if known.ready().is_empty() || !context::is(registration.runtime) {
            self.look(Location::caller());
            known = registration.seen.get().of(interest);
        }
        (!known.ready().is_empty()).then(|| AsyncFdReadyGuard::new(self, interest, known))
    }

    /// Asks the reactor for news.
    #[cold]
    fn look(&self, location: &Location<'_>) {
        let registration = &self.registration;
        let looked = context::with(|core| {
            core.owns(registration.runtime)
                .then(|| core.reactor.look(registration.key, &registration.seen))
        });
        if looked.flatten().is_none() {
            context::explain_absence(registration.runtime, "AsyncFd::try_ready", location);
            // Nothing is ready once the runtime has ended.
            registration.seen.set(Known::NOTHING);
        }
    }

    /// Waits until the descriptor is readable, from inside a `poll` function.
    ///
    /// Several tasks may poll; each is woken. Futures should rather hold a [`Readiness`], which
    /// knows which waker is its own and forgets it when dropped.
    ///
    /// # Errors
    ///
    /// When the runtime has ended.
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
            .poll_anonymously(cx)
    }

    /// Waits until the descriptor is writable, from inside a `poll` function.
    ///
    /// Errors and panics as [`poll_read_ready`](Self::poll_read_ready).
    ///
    /// # Errors
    ///
    /// When the runtime has ended.
    #[track_caller]
    pub fn poll_write_ready<'a>(
        &'a self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        self.writable()
            .operation("AsyncFd::poll_write_ready")
            .poll_anonymously(cx)
    }

    /// Tries an operation if the descriptor is known to be ready; never waits.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when it is not ready or the operation says so; otherwise the operation's own.
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
            None => Err(io::ErrorKind::WouldBlock.into()),
            Some(mut guard) => guard
                .try_io(|fd| operation(fd.get_ref()))
                .unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into())),
        }
    }

    /// Tries an operation whenever the descriptor is ready, until it does not say `WouldBlock`.
    ///
    /// # Errors
    ///
    /// The operation's own; or when the runtime has ended.
    ///
    /// # Panics
    ///
    /// Polling panics on a thread that is not running the descriptor's runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe: the operation has run to its end, or has said `WouldBlock`.
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

    #[inline]
    pub(super) fn registration(&self) -> &Registration {
        &self.registration
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
        let this = self.get_mut();
        loop {
            let mut guard = ready!(Pin::new(&mut this.readiness).poll(cx))?;
            if let Ok(result) = guard.try_io(|fd| (this.operation)(fd.get_ref())) {
                return Poll::Ready(result);
            }
        }
    }
}

impl<T: AsFd, F> fmt::Debug for AsyncIo<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncIo")
            .field("readiness", &self.readiness)
            .finish_non_exhaustive()
    }
}
