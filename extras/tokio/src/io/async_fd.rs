//! Wakeful's [`AsyncFd`](wakeful::io::AsyncFd) for values that have only a raw descriptor.
//!
//! tokio requires `AsRawFd`; Wakeful requires `AsFd`, which guarantees that the descriptor is open. So
//! the registration is one of the descriptor's number, with the value beside it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::Location;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use wakeful::io::{Interest, Ready, TryIoError};

/// The number of a descriptor that the value beside it keeps open.
#[derive(Debug)]
struct Descriptor(RawFd);

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: `AsyncFd` holds this number together with the value that it belongs to, so the
        // descriptor is open as long as the value keeps the promise of `AsRawFd` for as long as it
        // lives. A number below zero is refused before this type is created.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

/// A descriptor of the program's own that the runtime watches; Wakeful's
/// [`AsyncFd`](wakeful::io::AsyncFd) with tokio's signatures.
///
/// The descriptor stays open until the value is dropped. Closing it before leaves a registration that
/// wakes nothing.
pub struct AsyncFd<T: AsRawFd> {
    /// Before `inner`, because it must be dropped first.
    fd: wakeful::io::AsyncFd<Descriptor>,
    inner: T,
}

impl<T: AsRawFd> AsyncFd<T> {
    /// Registers a descriptor for reading and writing.
    ///
    /// # Errors
    ///
    /// When epoll refuses the descriptor, such as one of a regular file.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[track_caller]
    pub fn new(inner: T) -> io::Result<Self> {
        Self::with_interest(inner, Interest::READABLE | Interest::WRITABLE)
    }

    /// Registers a descriptor for one interest.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[track_caller]
    pub fn with_interest(inner: T, interest: Interest) -> io::Result<Self> {
        Ok(Self::try_with_interest(inner, interest)?)
    }

    /// Registers a descriptor; the error returns the value.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[track_caller]
    pub fn try_new(inner: T) -> Result<Self, AsyncFdTryNewError<T>> {
        Self::try_with_interest(inner, Interest::READABLE | Interest::WRITABLE)
    }

    /// Registers a descriptor for one interest; the error returns the value.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[track_caller]
    pub fn try_with_interest(inner: T, interest: Interest) -> Result<Self, AsyncFdTryNewError<T>> {
        let number = inner.as_raw_fd();
        let registered = if number < 0 {
            Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("AsyncFd: {number} is no descriptor"),
            ))
        } else {
            wakeful::io::AsyncFd::with_interest(Descriptor(number), interest)
        };
        match registered {
            Ok(fd) => Ok(AsyncFd { fd, inner }),
            Err(cause) => Err(AsyncFdRegisterError { inner, cause }),
        }
    }

    /// Does the same as [`try_new`](Self::try_new).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Safety
    ///
    /// The value owns its descriptor, which stays open until the value is dropped.
    #[expect(unsafe_code, reason = "tokio's signature")]
    #[track_caller]
    pub unsafe fn register(inner: T) -> Result<Self, AsyncFdRegisterError<T>> {
        Self::try_new(inner)
    }

    /// Does the same as [`try_with_interest`](Self::try_with_interest).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Safety
    ///
    /// As [`register`](Self::register).
    #[expect(unsafe_code, reason = "tokio's signature")]
    #[track_caller]
    pub unsafe fn register_with_interest(
        inner: T,
        interest: Interest,
    ) -> Result<Self, AsyncFdRegisterError<T>> {
        Self::try_with_interest(inner, interest)
    }

    /// Returns the value.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Returns the value for exclusive use.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Deregisters the descriptor and returns the value.
    pub fn into_inner(self) -> T {
        drop(self.fd.into_inner());
        self.inner
    }

    /// Waits until the descriptor is ready for an interest.
    ///
    /// # Errors
    ///
    /// When the runtime has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    #[track_caller]
    pub fn ready(
        &self,
        interest: Interest,
    ) -> impl Future<Output = io::Result<AsyncFdReadyGuard<'_, T>>> {
        let readiness = self.fd.ready(interest);
        async move {
            let mut readiness = pin!(readiness);
            let guard = poll_fn(|cx| readiness.as_mut().poll(cx)).await?;
            Ok(AsyncFdReadyGuard { fd: self, guard })
        }
    }

    /// Waits until the descriptor is ready for an interest, for exclusive use.
    ///
    /// # Errors
    ///
    /// When the runtime has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    #[track_caller]
    pub fn ready_mut(
        &mut self,
        interest: Interest,
    ) -> impl Future<Output = io::Result<AsyncFdReadyMutGuard<'_, T>>> {
        let location = Location::caller();
        async move {
            let ready = {
                let mut readiness = pin!(self.fd.ready(interest).location(location));
                poll_fn(|cx| readiness.as_mut().poll(cx)).await?.ready()
            };
            Ok(AsyncFdReadyMutGuard {
                fd: self,
                interest,
                ready,
            })
        }
    }

    /// Waits until the descriptor is readable.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    #[track_caller]
    pub fn readable(&self) -> impl Future<Output = io::Result<AsyncFdReadyGuard<'_, T>>> {
        self.ready(Interest::READABLE)
    }

    /// Waits until the descriptor is readable, for exclusive use.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    #[track_caller]
    pub fn readable_mut(
        &mut self,
    ) -> impl Future<Output = io::Result<AsyncFdReadyMutGuard<'_, T>>> {
        self.ready_mut(Interest::READABLE)
    }

    /// Waits until the descriptor is writable.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    #[track_caller]
    pub fn writable(&self) -> impl Future<Output = io::Result<AsyncFdReadyGuard<'_, T>>> {
        self.ready(Interest::WRITABLE)
    }

    /// Waits until the descriptor is writable, for exclusive use.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    #[track_caller]
    pub fn writable_mut(
        &mut self,
    ) -> impl Future<Output = io::Result<AsyncFdReadyMutGuard<'_, T>>> {
        self.ready_mut(Interest::WRITABLE)
    }

    /// Polls for readability.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    #[track_caller]
    pub fn poll_read_ready<'a>(
        &'a self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        let guard = ready!(self.fd.poll_read_ready(cx))?;
        Poll::Ready(Ok(AsyncFdReadyGuard { fd: self, guard }))
    }

    /// Polls for readability, for exclusive use.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    #[track_caller]
    pub fn poll_read_ready_mut<'a>(
        &'a mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyMutGuard<'a, T>>> {
        let ready = ready!(self.fd.poll_read_ready(cx))?.ready();
        Poll::Ready(Ok(AsyncFdReadyMutGuard {
            fd: self,
            interest: Interest::READABLE,
            ready,
        }))
    }

    /// Polls for writability.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    #[track_caller]
    pub fn poll_write_ready<'a>(
        &'a self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        let guard = ready!(self.fd.poll_write_ready(cx))?;
        Poll::Ready(Ok(AsyncFdReadyGuard { fd: self, guard }))
    }

    /// Polls for writability, for exclusive use.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    #[track_caller]
    pub fn poll_write_ready_mut<'a>(
        &'a mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyMutGuard<'a, T>>> {
        let ready = ready!(self.fd.poll_write_ready(cx))?.ready();
        Poll::Ready(Ok(AsyncFdReadyMutGuard {
            fd: self,
            interest: Interest::WRITABLE,
            ready,
        }))
    }

    /// Calls an operation if the descriptor is ready, and clears readiness if it would block.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the descriptor is not ready; else the operation's.
    #[track_caller]
    pub fn try_io<R>(
        &self,
        interest: Interest,
        operation: impl FnOnce(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.fd.try_io(interest, |_| operation(&self.inner))
    }

    /// Does the same as [`try_io`](Self::try_io), for exclusive use.
    ///
    /// # Errors
    ///
    /// As [`try_io`](Self::try_io).
    #[track_caller]
    pub fn try_io_mut<R>(
        &mut self,
        interest: Interest,
        operation: impl FnOnce(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.fd.try_io(interest, |_| operation(&mut self.inner))
    }

    /// Waits until an operation succeeds or fails with another error than `WouldBlock`.
    ///
    /// # Errors
    ///
    /// Those of the operation, and of [`ready`](Self::ready).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, if the operation transfers nothing when it would block.
    #[track_caller]
    pub fn async_io<R>(
        &self,
        interest: Interest,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        self.fd.async_io(interest, move |_| operation(&self.inner))
    }

    /// Does the same as [`async_io`](Self::async_io), for exclusive use.
    ///
    /// # Errors
    ///
    /// As [`async_io`](Self::async_io).
    ///
    /// # Cancel safety
    ///
    /// As [`async_io`](Self::async_io).
    #[track_caller]
    pub fn async_io_mut<R>(
        &mut self,
        interest: Interest,
        mut operation: impl FnMut(&mut T) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        let AsyncFd { fd, inner } = self;
        fd.async_io(interest, move |_| operation(inner))
    }
}

impl<T: AsRawFd> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

impl<T: AsRawFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl<T: AsRawFd + fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFd")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

/// A ready descriptor; Wakeful's [guard](wakeful::io::AsyncFdReadyGuard) with tokio's signatures.
#[must_use = "readiness stays stored until an operation through the guard disproves it"]
pub struct AsyncFdReadyGuard<'a, T: AsRawFd> {
    fd: &'a AsyncFd<T>,
    guard: wakeful::io::AsyncFdReadyGuard<'a, Descriptor>,
}

impl<'a, T: AsRawFd> AsyncFdReadyGuard<'a, T> {
    /// Returns what the descriptor is ready for.
    #[must_use]
    pub fn ready(&self) -> Ready {
        self.guard.ready()
    }

    /// Clears the readiness of the guard.
    pub fn clear_ready(&mut self) {
        self.guard.clear_ready();
    }

    /// Clears a part of the readiness of the guard.
    pub fn clear_ready_matching(&mut self, ready: Ready) {
        self.guard.clear_ready_matching(ready);
    }

    /// Does nothing: readiness stays until it is cleared.
    pub fn retain_ready(&mut self) {
        self.guard.retain_ready();
    }

    /// Calls an operation, and clears readiness if it would block.
    ///
    /// # Errors
    ///
    /// [`TryIoError`] when the operation would block.
    pub fn try_io<R>(
        &mut self,
        operation: impl FnOnce(&'a AsyncFd<T>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        self.guard.try_io(|_| operation(self.fd))
    }

    /// Returns the descriptor.
    #[must_use]
    pub fn get_ref(&self) -> &'a AsyncFd<T> {
        self.fd
    }

    /// Returns the value.
    #[must_use]
    pub fn get_inner(&self) -> &'a T {
        self.fd.get_ref()
    }
}

impl<T: AsRawFd> fmt::Debug for AsyncFdReadyGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFdReadyGuard")
            .field("ready", &self.ready())
            .finish_non_exhaustive()
    }
}

/// A ready descriptor for exclusive use.
///
/// Its methods that clear apply to what the runtime knows when they are called. So they are called
/// right after an operation would block, with no await in between.
#[must_use = "readiness stays stored until an operation through the guard disproves it"]
pub struct AsyncFdReadyMutGuard<'a, T: AsRawFd> {
    fd: &'a mut AsyncFd<T>,
    interest: Interest,
    ready: Ready,
}

impl<T: AsRawFd> AsyncFdReadyMutGuard<'_, T> {
    /// Returns what the descriptor is ready for.
    #[must_use]
    pub fn ready(&self) -> Ready {
        self.ready
    }

    /// Clears the readiness of the guard.
    pub fn clear_ready(&mut self) {
        self.clear_ready_matching(self.ready);
    }

    /// Clears a part of the readiness of the guard.
    pub fn clear_ready_matching(&mut self, ready: Ready) {
        let closed = Ready::READ_CLOSED | Ready::WRITE_CLOSED;
        self.ready = self.ready - (ready - closed);
        if let Some(mut guard) = self.fd.fd.try_ready(self.interest) {
            guard.clear_ready_matching(ready);
        }
    }

    /// Does nothing: readiness stays until it is cleared.
    pub fn retain_ready(&mut self) {}

    /// Calls an operation, and clears readiness if it would block.
    ///
    /// # Errors
    ///
    /// [`TryIoError`] when the operation would block.
    pub fn try_io<R>(
        &mut self,
        operation: impl FnOnce(&mut AsyncFd<T>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        let result = operation(self.fd);
        let blocked = matches!(&result, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        match self.fd.fd.try_ready(self.interest).filter(|_| blocked) {
            Some(mut guard) => guard.try_io(|_| result),
            None => Ok(result),
        }
    }

    /// Returns the descriptor.
    #[must_use]
    pub fn get_ref(&self) -> &AsyncFd<T> {
        self.fd
    }

    /// Returns the descriptor for exclusive use.
    pub fn get_mut(&mut self) -> &mut AsyncFd<T> {
        self.fd
    }

    /// Returns the value.
    #[must_use]
    pub fn get_inner(&self) -> &T {
        self.fd.get_ref()
    }

    /// Returns the value for exclusive use.
    pub fn get_inner_mut(&mut self) -> &mut T {
        self.fd.get_mut()
    }
}

impl<T: AsRawFd> fmt::Debug for AsyncFdReadyMutGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFdReadyMutGuard")
            .field("ready", &self.ready)
            .finish_non_exhaustive()
    }
}

/// The error of a registration, with the value that was not registered.
pub struct AsyncFdRegisterError<T> {
    inner: T,
    cause: io::Error,
}

/// Former name of [`AsyncFdRegisterError`].
pub type AsyncFdTryNewError<T> = AsyncFdRegisterError<T>;

impl<T> AsyncFdRegisterError<T> {
    /// Returns the value and the cause.
    pub fn into_parts(self) -> (T, io::Error) {
        (self.inner, self.cause)
    }
}

impl<T> From<AsyncFdRegisterError<T>> for io::Error {
    fn from(error: AsyncFdRegisterError<T>) -> Self {
        error.cause
    }
}

impl<T> fmt::Debug for AsyncFdRegisterError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.cause, f)
    }
}

impl<T> fmt::Display for AsyncFdRegisterError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.cause, f)
    }
}

impl<T> std::error::Error for AsyncFdRegisterError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}
