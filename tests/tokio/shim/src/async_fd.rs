//! Wakeful's [`AsyncFd`](wakeful::io::AsyncFd) for values that have only a raw descriptor.
//!
//! tokio requires `AsRawFd`; Wakeful requires `AsFd`, which guarantees that the descriptor is open. The
//! type in tokio's tests implements only the former; [`Raw`] adds the latter.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::pin;
use std::task::{Context, Poll, ready};

use wakeful::io::{Interest, Ready, TryIoError};

#[derive(Debug)]
struct Raw<T>(T);

impl<T: AsRawFd> AsFd for Raw<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: by the contract of `AsyncFd::register` the descriptor stays open as long as the
        // value lives, and the value is borrowed here.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}

/// `wakeful::io::AsyncFd` with tokio's signatures.
#[derive(Debug)]
pub struct AsyncFd<T: AsRawFd>(wakeful::io::AsyncFd<Raw<T>>);

impl<T: AsRawFd> AsyncFd<T> {
    /// `AsyncFd::new`.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    ///
    /// # Safety
    ///
    /// The value owns its descriptor, which is open until the value is dropped.
    #[track_caller]
    pub unsafe fn register(inner: T) -> io::Result<Self> {
        wakeful::io::AsyncFd::new(Raw(inner)).map(AsyncFd)
    }

    /// `AsyncFd::with_interest`.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    ///
    /// # Safety
    ///
    /// As [`register`](Self::register).
    #[track_caller]
    pub unsafe fn register_with_interest(inner: T, interest: Interest) -> io::Result<Self> {
        wakeful::io::AsyncFd::with_interest(Raw(inner), interest).map(AsyncFd)
    }

    /// `AsyncFd::with_interest`, used by the test that closes the descriptor too early.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    #[track_caller]
    pub fn with_interest(inner: T, interest: Interest) -> io::Result<Self> {
        // SAFETY: not guaranteed: the caller can close the descriptor. tokio documents the same
        // function as unsound for this reason and keeps it.
        unsafe { Self::register_with_interest(inner, interest) }
    }

    /// `AsyncFd::get_ref`.
    pub fn get_ref(&self) -> &T {
        &self.0.get_ref().0
    }

    /// `AsyncFd::into_inner`.
    pub fn into_inner(self) -> T {
        self.0.into_inner().0
    }

    /// `AsyncFd::ready`.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    #[track_caller]
    pub fn ready(
        &self,
        interest: Interest,
    ) -> impl Future<Output = io::Result<AsyncFdReadyGuard<'_, T>>> {
        self.guarded(self.0.ready(interest))
    }

    /// `AsyncFd::readable`.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    #[track_caller]
    pub fn readable(&self) -> impl Future<Output = io::Result<AsyncFdReadyGuard<'_, T>>> {
        self.guarded(self.0.readable())
    }

    /// `AsyncFd::writable`.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    #[track_caller]
    pub fn writable(&self) -> impl Future<Output = io::Result<AsyncFdReadyGuard<'_, T>>> {
        self.guarded(self.0.writable())
    }

    async fn guarded<'a>(
        &'a self,
        readiness: wakeful::io::Readiness<'a, Raw<T>>,
    ) -> io::Result<AsyncFdReadyGuard<'a, T>> {
        let mut readiness = pin!(readiness);
        let guard = poll_fn(|cx| readiness.as_mut().poll(cx)).await?;
        Ok(AsyncFdReadyGuard { fd: self, guard })
    }

    /// `AsyncFd::poll_read_ready`.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    #[track_caller]
    pub fn poll_read_ready<'a>(
        &'a self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        let guard = ready!(self.0.poll_read_ready(cx))?;
        Poll::Ready(Ok(AsyncFdReadyGuard { fd: self, guard }))
    }

    /// `AsyncFd::poll_write_ready`.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    #[track_caller]
    pub fn poll_write_ready<'a>(
        &'a self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        let guard = ready!(self.0.poll_write_ready(cx))?;
        Poll::Ready(Ok(AsyncFdReadyGuard { fd: self, guard }))
    }

    /// `AsyncFd::try_io`.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    #[track_caller]
    pub fn try_io<R>(
        &self,
        interest: Interest,
        operation: impl FnOnce(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.0.try_io(interest, |raw| operation(&raw.0))
    }
}

impl<T: AsRawFd> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// `wakeful::io::AsyncFdReadyGuard` with tokio's signatures.
#[derive(Debug)]
pub struct AsyncFdReadyGuard<'a, T: AsRawFd> {
    fd: &'a AsyncFd<T>,
    guard: wakeful::io::AsyncFdReadyGuard<'a, Raw<T>>,
}

impl<T: AsRawFd> AsyncFdReadyGuard<'_, T> {
    /// `AsyncFdReadyGuard::ready`.
    #[must_use]
    pub fn ready(&self) -> Ready {
        self.guard.ready()
    }

    /// `AsyncFdReadyGuard::clear_ready`.
    pub fn clear_ready(&mut self) {
        self.guard.clear_ready();
    }

    /// `AsyncFdReadyGuard::clear_ready_matching`.
    pub fn clear_ready_matching(&mut self, ready: Ready) {
        self.guard.clear_ready_matching(ready);
    }

    /// `AsyncFdReadyGuard::retain_ready`.
    pub fn retain_ready(&mut self) {
        self.guard.retain_ready();
    }

    /// `AsyncFdReadyGuard::try_io`.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    pub fn try_io<R>(
        &mut self,
        operation: impl FnOnce(&AsyncFd<T>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        self.guard.try_io(|_| operation(self.fd))
    }
}
