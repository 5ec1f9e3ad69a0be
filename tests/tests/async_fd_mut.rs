//! The `_mut` methods of `AsyncFd`, for values that need `&mut`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::task::Poll;

use wakeful::io::{AsyncFd, Interest, Ready};
use wakeful::runtime::Runtime;
use wakeful_tests::trace::{pair, poll_once, runtime, settle};

/// A socket that counts its operations, which needs `&mut`.
#[derive(Debug)]
struct Counted {
    socket: UnixStream,
    operations: usize,
}

impl Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.operations += 1;
        self.socket.read(buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.operations += 1;
        self.socket.write(bytes)
    }
}

impl AsFd for Counted {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn source() -> (AsyncFd<Counted>, UnixStream) {
    let (socket, there) = pair();
    let counted = Counted {
        socket,
        operations: 0,
    };
    (AsyncFd::new(counted).unwrap(), there)
}

/// Both have one event, so their counts of events are equal.
#[test]
fn a_guard_whose_descriptor_was_exchanged_clears_no_readiness_of_the_other() {
    runtime().block_on(async {
        let (mut fd, mut there) = source();
        let (mut other, mut other_there) = source();
        for there in [&mut there, &mut other_there] {
            there.write_all(b"x").unwrap();
        }
        drop(other.readable().await.unwrap());
        let mut guard = fd.readable_mut().await.unwrap();
        let blocked = guard.try_io(|fd| {
            let blocked = Err::<(), _>(ErrorKind::WouldBlock.into());
            std::mem::swap(fd, &mut other);
            blocked
        });
        assert!(blocked.is_err());
        guard.clear_ready();
        assert!(
            poll_once(&mut std::pin::pin!(fd.readable()))
                .await
                .is_ready()
        );
        assert!(
            poll_once(&mut std::pin::pin!(other.readable()))
                .await
                .is_ready()
        );
    });
}

#[test]
fn an_operation_with_mut_waits_and_is_tried_again_after_would_block() {
    runtime().block_on(async {
        let (mut fd, mut there) = source();
        let mut buffer = [0; 8];
        {
            let read = fd.async_io_mut(Interest::READABLE, |fd| fd.read(&mut buffer));
            let mut read = std::pin::pin!(read);
            assert!(poll_once(&mut read).await.is_pending());
            there.write_all(b"bytes").unwrap();
            assert_eq!(read.await.unwrap(), 5);
        }
        assert_eq!(&buffer[..5], b"bytes");
        // The readiness is still stored, so the first attempt blocks, and the second one waits.
        let operations = fd.get_ref().operations;
        {
            let read = fd.async_io_mut(Interest::READABLE, |fd| fd.read(&mut buffer));
            let mut read = std::pin::pin!(read);
            assert!(poll_once(&mut read).await.is_pending());
            settle().await;
            assert!(poll_once(&mut read).await.is_pending());
        }
        assert_eq!(fd.get_ref().operations, operations + 1);
    });
}

#[test]
fn an_operation_with_mut_returns_its_own_errors() {
    runtime().block_on(async {
        let (mut fd, there) = source();
        drop(there);
        let write = fd.async_io_mut(Interest::WRITABLE, |fd| fd.write(b"x"));
        assert_eq!(write.await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_guard_with_mut_clears_readiness_when_the_operation_would_block() {
    runtime().block_on(async {
        let (mut fd, mut there) = source();
        there.write_all(b"12").unwrap();
        let mut guard = fd.readable_mut().await.unwrap();
        assert!(guard.ready().is_readable());
        let mut buffer = [0; 8];
        let read = guard.try_io(|fd| fd.get_mut().read(&mut buffer));
        assert_eq!(read.unwrap().unwrap(), 2);
        assert!(guard.try_io(|fd| fd.get_mut().read(&mut buffer)).is_err());
        assert!(!guard.ready().is_readable());
        assert_eq!(guard.get_inner().operations, 2);
        guard.get_inner_mut().operations = 0;
        assert_eq!(guard.get_ref().get_ref().operations, 0);
        assert_eq!(guard.get_mut().get_mut().operations, 0);
        {
            let mut readable = std::pin::pin!(fd.readable_mut());
            assert!(poll_once(&mut readable).await.is_pending());
        }
        assert!(fd.try_ready(Interest::READABLE).is_none());
    });
}

#[test]
fn a_guard_with_mut_clears_only_what_is_asked() {
    runtime().block_on(async {
        let (mut fd, mut there) = source();
        there.write_all(b"12").unwrap();
        let both = Interest::READABLE | Interest::WRITABLE;
        drop(fd.readable_mut().await.unwrap());
        let mut guard = fd.ready_mut(both).await.unwrap();
        guard.retain_ready();
        assert!(guard.ready().is_readable() && guard.ready().is_writable());
        guard.clear_ready_matching(Ready::READABLE);
        assert!(!guard.ready().is_readable() && guard.ready().is_writable());
        guard.clear_ready();
        assert!(fd.try_ready(both).is_none());
    });
}

#[test]
fn an_attempt_with_mut_never_waits() {
    runtime().block_on(async {
        let (mut fd, mut there) = source();
        let mut buffer = [0; 8];
        let attempt = fd.try_io_mut(Interest::READABLE, |fd| fd.read(&mut buffer));
        assert_eq!(attempt.unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(fd.get_ref().operations, 0, "not known to be ready");
        there.write_all(b"1").unwrap();
        drop(fd.readable().await.unwrap());
        let attempt = fd.try_io_mut(Interest::READABLE, |fd| fd.read(&mut buffer));
        assert_eq!(attempt.unwrap(), 1);
        let attempt = fd.try_io_mut(Interest::READABLE, |fd| fd.read(&mut buffer));
        assert_eq!(attempt.unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(fd.try_ready(Interest::READABLE).is_none());
        drop(fd.writable_mut().await.unwrap());
    });
}

#[test]
fn poll_functions_with_mut_register_the_task() {
    runtime().block_on(async {
        let (mut fd, mut there) = source();
        let task = wakeful::spawn(async move {
            poll_fn(|cx| fd.poll_write_ready_mut(cx).map_ok(drop))
                .await
                .unwrap();
            let mut buffer = [0; 8];
            poll_fn(|cx| {
                loop {
                    let Poll::Ready(guard) = fd.poll_read_ready_mut(cx) else {
                        return Poll::Pending;
                    };
                    let mut guard = guard.unwrap();
                    if let Ok(read) = guard.try_io(|fd| fd.get_mut().read(&mut buffer)) {
                        return Poll::Ready(read.unwrap());
                    }
                }
            })
            .await
        });
        settle().await;
        there.write_all(b"123").unwrap();
        assert_eq!(task.await.unwrap(), 3);
    });
}

#[test]
fn waiting_with_mut_after_the_end_of_the_runtime_is_an_error() {
    let mut fd = runtime().block_on(async { source().0 });
    let other = Runtime::new().unwrap();
    other.block_on(async {
        assert!(fd.readable_mut().await.is_err());
        let read = fd.async_io_mut(Interest::READABLE, |fd| fd.read(&mut [0; 8]));
        assert!(read.await.is_err());
    });
}

#[test]
fn a_wait_with_mut_is_recorded_with_operation_and_line() {
    runtime().block_on(async {
        let (mut fd, _there) = source();
        let line = line!() + 2;
        let task = wakeful::spawn(async move {
            drop(fd.readable_mut().await);
        });
        settle().await;
        let info = wakeful::task::dump()
            .into_iter()
            .find(|info| info.id == task.id());
        let waiting = info.unwrap().waiting.unwrap();
        assert_eq!(
            (waiting.operation, waiting.location.line()),
            ("AsyncFd::readable_mut", line)
        );
        task.abort();
    });
}
