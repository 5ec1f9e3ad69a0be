//! Sockets: wait until a call may succeed, then make it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::reactor::Direction;
use crate::{Core, core};

/// A descriptor and its token.
struct Registered<T> {
    core: Rc<Core>,
    token: usize,
    io: T,
}

impl<T: AsRawFd> Registered<T> {
    fn new(io: T) -> io::Result<Registered<T>> {
        let core = core();
        let token = core.reactor.add(&io)?;
        Ok(Registered { core, token, io })
    }

    /// Waits until an operation may succeed, and makes it. Costs one of the task's budget.
    fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        if self.core.spend(cx).is_pending() {
            return Poll::Pending;
        }
        loop {
            if self.core.reactor.poll_ready(self.token, direction, cx.waker()).is_pending() {
                return Poll::Pending;
            }
            match operation(&self.io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.core.reactor.clear(self.token, direction);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// The same for a read or a write of at most `length` bytes. A short one has emptied or filled the
    /// kernel's buffer, so the next one would block.
    fn poll_transfer(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        length: usize,
        operation: impl FnMut(&T) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let polled = self.poll_io(cx, direction, operation);
        if let Poll::Ready(Ok(n @ 1..)) = polled {
            if n < length {
                self.core.reactor.clear(self.token, direction);
            }
        }
        polled
    }
}

impl<T> Drop for Registered<T> {
    fn drop(&mut self) {
        self.core.reactor.remove(self.token);
    }
}

/// A listening socket.
pub struct TcpListener(Registered<kernel::Listener>);

impl TcpListener {
    pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        let listener = kernel::Listener::bind(address)?;
        listener.set_nonblocking()?;
        Registered::new(listener).map(TcpListener)
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.io.local_addr()
    }

    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let accept =
            |cx: &mut Context<'_>| self.0.poll_io(cx, Direction::Read, kernel::Listener::accept);
        let (stream, peer) = poll_fn(accept).await?;
        Ok((TcpStream::new(stream)?, peer))
    }
}

/// A connected socket. One task can read while another writes.
pub struct TcpStream(Registered<kernel::Stream>);

impl TcpStream {
    /// An accepted socket has none of the listener's flags.
    pub fn new(stream: kernel::Stream) -> io::Result<TcpStream> {
        stream.set_nonblocking()?;
        Registered::new(stream).map(TcpStream)
    }

    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len();
        poll_fn(|cx| self.0.poll_transfer(cx, Direction::Read, length, |io| io.read(buffer))).await
    }

    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len();
        poll_fn(|cx| self.0.poll_transfer(cx, Direction::Write, length, |io| io.write(bytes))).await
    }

    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write(bytes).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => bytes = &bytes[n..],
            }
        }
        Ok(())
    }
}
