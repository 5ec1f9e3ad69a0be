//! The byte-stream traits are those of futures-io: pointers forward every call, memory never waits, and
//! types of futures-lite implement them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{self, IoSlice, IoSliceMut};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures_lite::io::{Cursor, empty, sink};
use wakeful::io::{AsyncRead, AsyncWrite};

/// Returns a different number from each method.
struct Probe;

impl AsyncRead for Probe {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(1))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(2))
    }
}

impl AsyncWrite for Probe {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(3))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(4))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::from_raw_os_error(5)))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::from_raw_os_error(6)))
    }
}

fn ready<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the operation is pending"),
    }
}

fn call_each<S: AsyncRead + AsyncWrite>(stream: S) -> Vec<usize> {
    let mut stream = pin!(stream);
    let mut cx = Context::from_waker(Waker::noop());
    let code =
        |poll| usize::try_from(ready::<()>(poll).unwrap_err().raw_os_error().unwrap()).unwrap();
    vec![
        ready(stream.as_mut().poll_read(&mut cx, &mut [])).unwrap(),
        ready(stream.as_mut().poll_read_vectored(&mut cx, &mut [])).unwrap(),
        ready(stream.as_mut().poll_write(&mut cx, &[])).unwrap(),
        ready(stream.as_mut().poll_write_vectored(&mut cx, &[])).unwrap(),
        code(stream.as_mut().poll_flush(&mut cx)),
        code(stream.as_mut().poll_close(&mut cx)),
    ]
}

#[test]
fn a_pointer_to_a_stream_forwards_every_call() {
    let expected = [1, 2, 3, 4, 5, 6];
    assert_eq!(call_each(Probe), expected);
    assert_eq!(call_each(&mut Probe), expected);
    assert_eq!(call_each(Box::new(Probe)), expected);
    assert_eq!(call_each(Pin::new(&mut Probe)), expected);
    assert_eq!(call_each(Box::pin(Probe)), expected);
    let object: Box<dyn Stream> = Box::new(Probe);
    assert_eq!(call_each(object), expected);
    trait Stream: AsyncRead + AsyncWrite + Unpin {}
    impl Stream for Probe {}
}

/// Reads and writes one buffer at a time.
struct Plain(Vec<u8>);

impl AsyncRead for Plain {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        buf.fill(7);
        self.0.push(u8::try_from(buf.len()).unwrap());
        Poll::Ready(Ok(buf.len()))
    }
}

impl AsyncWrite for Plain {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn default_vectored_methods_use_the_first_non_empty_buffer() {
    let mut cx = Context::from_waker(Waker::noop());
    let mut plain = Plain(Vec::new());
    let (mut a, mut b, mut c) = ([0; 0], [0; 3], [0; 5]);
    let mut bufs = [&mut a[..], &mut b, &mut c].map(IoSliceMut::new);
    let n = ready(Pin::new(&mut plain).poll_read_vectored(&mut cx, &mut bufs)).unwrap();
    assert_eq!((n, b, c), (3, [7; 3], [0; 5]));

    plain.0.clear();
    let bufs = [&b""[..], b"one", b"two"].map(IoSlice::new);
    let n = ready(Pin::new(&mut plain).poll_write_vectored(&mut cx, &bufs)).unwrap();
    assert_eq!((n, &*plain.0), (3, &b"one"[..]));

    plain.0.clear();
    let n = ready(Pin::new(&mut plain).poll_read_vectored(&mut cx, &mut [])).unwrap();
    assert_eq!(
        (n, &*plain.0),
        (0, &[0][..]),
        "no buffer counts as an empty one"
    );
    let n = ready(Pin::new(&mut plain).poll_write_vectored(&mut cx, &[])).unwrap();
    assert_eq!(n, 0);
}

#[test]
fn memory_reads_and_writes_without_waiting() {
    let mut cx = Context::from_waker(Waker::noop());
    let mut buffer = [0; 4];

    let mut slice: &[u8] = b"slices";
    let n = ready(Pin::new(&mut slice).poll_read(&mut cx, &mut buffer)).unwrap();
    assert_eq!((&buffer[..n], slice), (&b"slic"[..], &b"es"[..]));

    let mut cursor = Cursor::new(vec![1, 2, 3]);
    cursor.set_position(1);
    let n = ready(Pin::new(&mut cursor).poll_read(&mut cx, &mut buffer)).unwrap();
    assert_eq!(&buffer[..n], [2, 3]);
    let n = ready(Pin::new(&mut cursor).poll_read(&mut cx, &mut buffer)).unwrap();
    assert_eq!(n, 0, "EOF");
    let mut empty = empty();
    let n = ready(Pin::new(&mut empty).poll_read(&mut cx, &mut buffer)).unwrap();
    assert_eq!(n, 0);

    let mut vec = b"a ".to_vec();
    let bufs = [&b"new"[..], b" end"].map(IoSlice::new);
    assert_eq!(
        ready(Pin::new(&mut vec).poll_write(&mut cx, b"whole ")).unwrap(),
        6
    );
    assert_eq!(
        ready(Pin::new(&mut vec).poll_write_vectored(&mut cx, &bufs)).unwrap(),
        7
    );
    ready(Pin::new(&mut vec).poll_flush(&mut cx)).unwrap();
    ready(Pin::new(&mut vec).poll_close(&mut cx)).unwrap();
    assert_eq!(vec, b"a whole new end");

    let mut sink = sink();
    assert_eq!(
        ready(Pin::new(&mut sink).poll_write(&mut cx, b"whole ")).unwrap(),
        6
    );
}
