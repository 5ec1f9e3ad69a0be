//! Waiting for an [`AsyncFd`] whose operation needs `&mut`: the `_mut` methods and their guard.
//!
//! Called by users of types such as an inotify instance that reads into a buffer of its own; calls
//! [`AsyncFd`] and [`Readiness`](super::Readiness). Each method waits through a shared reference and
//! returns the exclusive one afterwards, so nothing is stored in another way than without `_mut`.

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::panic::Location;
use std::task::{Context, Poll, ready};

use super::async_fd::{AsyncFd, TryIoError};
use super::registration::SourceId;
use super::{Interest, Ready};
use crate::reactor::source::ReadyEvent;

impl<T: AsFd> AsyncFd<T> {
    /// As [`ready`](Self::ready), with a guard that gives access to the value by `&mut`.
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
    pub fn ready_mut(
        &mut self,
        interest: Interest,
    ) -> impl Future<Output = io::Result<AsyncFdReadyMutGuard<'_, T>>> {
        self.wait_mut(interest, "AsyncFd::ready_mut", Location::caller())
    }

    /// As [`readable`](Self::readable), with a guard that gives access to the value by `&mut`.
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
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{PipeReader, Read, Write};
    /// use std::os::fd::{AsFd, BorrowedFd};
    /// use wakeful::io::AsyncFd;
    ///
    /// /// A reader with a buffer of its own.
    /// struct Words(std::io::BufReader<PipeReader>);
    ///
    /// impl AsFd for Words {
    ///     fn as_fd(&self) -> BorrowedFd<'_> {
    ///         self.0.get_ref().as_fd()
    ///     }
    /// }
    ///
    /// wakeful::block_on(async {
    ///     let (reader, mut writer) = std::io::pipe()?;
    ///     let mut words = AsyncFd::new(Words(std::io::BufReader::new(reader)))?;
    ///     writer.write_all(b"word")?;
    ///     let mut buffer = [0; 4];
    ///     let mut guard = words.readable_mut().await?;
    ///     let n = guard.try_io(|fd| fd.get_mut().0.read(&mut buffer)).expect("readable")?;
    ///     assert_eq!(&buffer[..n], b"word");
    ///     std::io::Result::Ok(())
    /// }).unwrap();
    /// ```
    #[track_caller]
    pub fn readable_mut(
        &mut self,
    ) -> impl Future<Output = io::Result<AsyncFdReadyMutGuard<'_, T>>> {
        self.wait_mut(
            Interest::READABLE,
            "AsyncFd::readable_mut",
            Location::caller(),
        )
    }

    /// As [`writable`](Self::writable), with a guard that gives access to the value by `&mut`.
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
    pub fn writable_mut(
        &mut self,
    ) -> impl Future<Output = io::Result<AsyncFdReadyMutGuard<'_, T>>> {
        self.wait_mut(
            Interest::WRITABLE,
            "AsyncFd::writable_mut",
            Location::caller(),
        )
    }

    async fn wait_mut(
        &mut self,
        interest: Interest,
        operation: &'static str,
        location: &'static Location<'static>,
    ) -> io::Result<AsyncFdReadyMutGuard<'_, T>> {
        let readiness = self.ready(interest).operation(operation);
        let event = readiness.location(location).await?.event;
        Ok(AsyncFdReadyMutGuard::new(self, interest, event))
    }

    /// As [`poll_read_ready`](Self::poll_read_ready), with a guard that gives access to the value by
    /// `&mut`.
    ///
    /// # Errors
    ///
    /// When the runtime has ended.
    ///
    /// # Panics
    ///
    /// On a thread that is not running the descriptor's runtime.
    #[track_caller]
    pub fn poll_read_ready_mut<'a>(
        &'a mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyMutGuard<'a, T>>> {
        let event = ready!(self.poll_read_ready(cx))?.event;
        Poll::Ready(Ok(AsyncFdReadyMutGuard::new(
            self,
            Interest::READABLE,
            event,
        )))
    }

    /// As [`poll_write_ready`](Self::poll_write_ready), with a guard that gives access to the value
    /// by `&mut`.
    ///
    /// # Errors
    ///
    /// When the runtime has ended.
    ///
    /// # Panics
    ///
    /// On a thread that is not running the descriptor's runtime.
    #[track_caller]
    pub fn poll_write_ready_mut<'a>(
        &'a mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyMutGuard<'a, T>>> {
        let event = ready!(self.poll_write_ready(cx))?.event;
        Poll::Ready(Ok(AsyncFdReadyMutGuard::new(
            self,
            Interest::WRITABLE,
            event,
        )))
    }

    /// As [`try_io`](Self::try_io), for an operation that needs `&mut`.
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
    pub fn try_io_mut<R>(
        &mut self,
        interest: Interest,
        operation: impl FnOnce(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        let Some(event) = self.try_ready(interest).map(|guard| guard.event) else {
            return Err(self.not_ready(interest, "AsyncFd::try_io_mut"));
        };
        let mut guard = AsyncFdReadyMutGuard::new(self, interest, event);
        guard
            .try_io(|fd| operation(fd.get_mut()))
            .unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into()))
    }

    /// As [`async_io`](Self::async_io), for an operation that needs `&mut`.
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
    /// Safe: the last attempt has returned its result or `WouldBlock`.
    #[track_caller]
    pub fn async_io_mut<R>(
        &mut self,
        interest: Interest,
        mut operation: impl FnMut(&mut T) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        let location = Location::caller();
        async move {
            loop {
                let waiting = self.wait_mut(interest, "AsyncFd::async_io_mut", location);
                let mut guard = waiting.await?;
                if let Ok(result) = guard.try_io(|fd| operation(fd.get_mut())) {
                    return result;
                }
            }
        }
    }
}

/// As [`AsyncFdReadyGuard`](super::AsyncFdReadyGuard), with access to the value by `&mut`.
#[must_use = "readiness stays stored until an operation through the guard disproves it"]
pub struct AsyncFdReadyMutGuard<'a, T: AsFd> {
    fd: &'a mut AsyncFd<T>,
    interest: Interest,
    event: ReadyEvent,
    /// The source of `event`. The `AsyncFd` can be replaced through the guard.
    source: SourceId,
}

impl<'a, T: AsFd> AsyncFdReadyMutGuard<'a, T> {
    fn new(fd: &'a mut AsyncFd<T>, interest: Interest, event: ReadyEvent) -> Self {
        let source = fd.registration.source();
        AsyncFdReadyMutGuard {
            fd,
            interest,
            event,
            source,
        }
    }

    /// Returns the readiness that ended the wait.
    #[must_use]
    pub fn ready(&self) -> Ready {
        self.event.ready().shown()
    }

    /// Returns the descriptor.
    #[must_use]
    pub fn get_ref(&self) -> &AsyncFd<T> {
        self.fd
    }

    /// Returns the descriptor for changes.
    #[must_use]
    pub fn get_mut(&mut self) -> &mut AsyncFd<T> {
        self.fd
    }

    /// Returns the value in the [`AsyncFd`].
    #[must_use]
    pub fn get_inner(&self) -> &T {
        self.fd.get_ref()
    }

    /// Returns the value in the [`AsyncFd`] for changes. Its descriptor must stay the same.
    #[must_use]
    pub fn get_inner_mut(&mut self) -> &mut T {
        self.fd.get_mut()
    }

    /// Tries an operation. If it returns `WouldBlock`, readiness is cleared.
    ///
    /// # Errors
    ///
    /// [`TryIoError`] when the operation would block: wait again. Every other result of the operation
    /// is the inner `Result`.
    pub fn try_io<R>(
        &mut self,
        operation: impl FnOnce(&mut AsyncFd<T>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        match operation(self.fd) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.clear(self.interest.mask());
                Err(TryIoError(()))
            }
            result => Ok(result),
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

    fn clear(&mut self, ready: Ready) {
        self.event = self.event.difference(ready);
        // The event says nothing about another source.
        if self.fd.registration.source() == self.source {
            self.fd.registration.clear_shared(self.event, ready);
        }
    }
}

impl<T: AsFd> fmt::Debug for AsyncFdReadyMutGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFdReadyMutGuard")
            .field("ready", &self.ready())
            .finish_non_exhaustive()
    }
}
