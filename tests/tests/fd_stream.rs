//! An `AsyncFd` as a byte stream: pipes and sockets of std under the byte-stream traits.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use wakeful::io::{AsyncFd, AsyncRead, AsyncWrite};
use wakeful_tests::net_support::run;

/// Returns both ends of a pipe, in non-blocking mode.
fn pipe() -> (AsyncFd<PipeReader>, AsyncFd<PipeWriter>) {
    let (reader, writer) = io::pipe().unwrap();
    for end in [reader.as_fd(), writer.as_fd()] {
        rustix::io::ioctl_fionbio(end, true).unwrap();
    }
    (AsyncFd::new(reader).unwrap(), AsyncFd::new(writer).unwrap())
}

async fn read(mut from: impl AsyncRead + Unpin, buf: &mut [u8]) -> io::Result<usize> {
    poll_fn(|cx| Pin::new(&mut from).poll_read(cx, buf)).await
}

async fn write(mut to: impl AsyncWrite + Unpin, buf: &[u8]) -> io::Result<usize> {
    poll_fn(|cx| Pin::new(&mut to).poll_write(cx, buf)).await
}

#[test]
fn reading_a_pipe_waits_for_its_writer_and_returns_eof() {
    run(async {
        let (reader, writer) = pipe();
        let task = wakeful::spawn(async move {
            let mut buf = [0; 8];
            let first = read(&reader, &mut buf).await.unwrap();
            let end = read(&reader, &mut buf[first..]).await.unwrap();
            (buf[..first].to_vec(), end)
        });
        wakeful::task::yield_now().await;
        assert_eq!(write(writer, b"ping").await.unwrap(), 4); // drops the writer
        assert_eq!(task.await.unwrap(), (b"ping".to_vec(), 0));
    });
}

#[test]
fn writing_a_full_pipe_waits_for_its_reader() {
    run(async {
        let (reader, writer) = pipe();
        let (reader, writer) = (Rc::new(reader), Rc::new(writer));
        let sent = 1 << 20;
        let task = wakeful::spawn({
            let writer = Rc::clone(&writer);
            async move {
                let bytes = vec![7; sent];
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let n = write(&*writer, rest).await.unwrap();
                    rest = &rest[n..];
                }
            }
        });
        let mut buf = vec![0; 4096];
        let mut received = 0;
        while received < sent {
            received += read(&*reader, &mut buf).await.unwrap();
        }
        task.await.unwrap();
    });
}

#[test]
fn two_tasks_that_read_one_descriptor_both_receive_bytes() {
    run(async {
        let (reader, writer) = pipe();
        let reader = Rc::new(reader);
        let tasks: Vec<_> = (0..2)
            .map(|_| {
                let reader = Rc::clone(&reader);
                wakeful::spawn(async move { read(&*reader, &mut [0; 1]).await.unwrap() })
            })
            .collect();
        wakeful::task::yield_now().await;
        write(&writer, b"ab").await.unwrap();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 1);
        }
    });
}

#[test]
fn vectored_transfers_use_several_buffers_at_once() {
    run(async {
        let (mut reader, mut writer) = pipe();
        let parts = [
            IoSlice::new(b"head"),
            IoSlice::new(b""),
            IoSlice::new(b"body"),
        ];
        let sent = poll_fn(|cx| Pin::new(&mut writer).poll_write_vectored(cx, &parts)).await;
        assert_eq!(sent.unwrap(), 8);
        let (mut head, mut body) = ([0; 4], [0; 8]);
        let mut bufs = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)];
        let received = poll_fn(|cx| Pin::new(&mut reader).poll_read_vectored(cx, &mut bufs)).await;
        assert_eq!(received.unwrap(), 8);
        assert_eq!((&head, &body[..4]), (b"head", &b"body"[..]));
    });
}

#[test]
fn empty_buffers_in_front_hide_no_others() {
    /// More than one system call takes.
    const EMPTY: usize = 1_024;

    run(async {
        let (mut reader, mut writer) = pipe();
        let mut parts = vec![IoSlice::new(b""); EMPTY];
        parts.push(IoSlice::new(b"body"));
        let sent = poll_fn(|cx| Pin::new(&mut writer).poll_write_vectored(cx, &parts)).await;
        assert_eq!(sent.unwrap(), 4);
        let mut body = [0; 4];
        let mut bufs: Vec<_> = (0..EMPTY).map(|_| IoSliceMut::new(&mut [])).collect();
        bufs.push(IoSliceMut::new(&mut body));
        let received = poll_fn(|cx| Pin::new(&mut reader).poll_read_vectored(cx, &mut bufs)).await;
        assert_eq!(received.unwrap(), 4);
        assert_eq!(&body, b"body");
    });
}

#[test]
fn empty_buffers_take_operations_off_the_budget() {
    run(async {
        let (mut reader, mut writer) = pipe();
        let mut cx = Context::from_waker(Waker::noop());
        let mut done = 0;
        loop {
            let polls = [
                Pin::new(&mut reader).poll_read(&mut cx, &mut []),
                Pin::new(&mut reader).poll_read_vectored(&mut cx, &mut []),
                Pin::new(&mut writer).poll_write(&mut cx, &[]),
                Pin::new(&mut writer).poll_write_vectored(&mut cx, &[]),
            ];
            if polls.iter().all(Poll::is_pending) {
                break;
            }
            done += 4;
            assert!(done < 10_000, "the budget is never used up");
        }
    });
}

#[test]
fn empty_buffers_move_nothing_and_do_not_wait() {
    run(async {
        let (reader, writer) = pipe();
        assert_eq!(read(&reader, &mut []).await.unwrap(), 0);
        assert_eq!(write(&writer, b"").await.unwrap(), 0);
    });
}

/// A pipe whose first read returns `Interrupted`. Counts its reads.
struct Interrupted {
    reader: PipeReader,
    reads: std::cell::Cell<u32>,
}

impl AsFd for Interrupted {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl Read for &Interrupted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reads.set(self.reads.get() + 1);
        match self.reads.get() {
            1 => Err(io::ErrorKind::Interrupted.into()),
            _ => (&self.reader).read(buf),
        }
    }
}

#[test]
fn an_interrupted_read_is_repeated_and_one_that_would_block_waits() {
    run(async {
        let (reader, writer) = pipe();
        let interrupted = AsyncFd::new(Interrupted {
            reader: reader.into_inner(),
            reads: 0.into(),
        });
        let mut interrupted = interrupted.unwrap();
        write(&writer, b"x").await.unwrap();
        assert_eq!(read(&interrupted, &mut [0; 4]).await.unwrap(), 1);
        // The pipe is empty: the third call returns `WouldBlock` and is not repeated in this poll.
        let polled = Pin::new(&mut interrupted)
            .poll_read(&mut Context::from_waker(Waker::noop()), &mut [0; 4]);
        assert!(matches!(polled, Poll::Pending));
        assert_eq!(interrupted.get_ref().reads.get(), 3);
    });
}

#[test]
fn flush_and_shutdown_of_an_unbuffered_writer_do_not_wait_for_room() {
    run(async {
        let (_reader, mut writer) = pipe();
        while writer
            .try_io(wakeful::io::Interest::WRITABLE, |mut pipe| {
                io::Write::write(&mut pipe, &[0; 4096])
            })
            .is_ok()
        {}
        let mut cx = Context::from_waker(Waker::noop());
        let flushed = Pin::new(&mut writer).poll_flush(&mut cx);
        assert!(matches!(flushed, Poll::Ready(Ok(()))));
        let closed = Pin::new(&mut writer).poll_close(&mut cx);
        assert!(matches!(closed, Poll::Ready(Ok(()))));
    });
}
