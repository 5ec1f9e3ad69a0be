//! QUIC on Wakeful: [`WakefulRuntime`] implements quinn's [`Runtime`].
//!
//! quinn asks for three things: timers, tasks and a UDP socket. The socket passes several datagrams
//! per system call (GSO, GRO) and reads the congestion marks, through quinn's own `quinn-udp`.
//!
//! ```
//! use std::net::UdpSocket;
//! use std::sync::Arc;
//!
//! use quinn::{Endpoint, EndpointConfig};
//! use wakeful_quinn::WakefulRuntime;
//!
//! wakeful::block_on(async {
//!     let socket = UdpSocket::bind("127.0.0.1:0")?;
//!     let runtime = Arc::new(WakefulRuntime);
//!     let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, runtime)?;
//!     endpoint.wait_idle().await; // there are no connections
//!     std::io::Result::Ok(())
//! })
//! # .unwrap();
//! ```
//!
//! An endpoint and its connections belong to the thread that created the endpoint. The program
//! `quic` in `examples/ecosystem` is a complete server.

use std::future::Future;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, UdpPoller};
use wakeful::io::Interest;
use wakeful::time::{self, Sleep};
use wakeful_net::UdpSocket;

/// Runs quinn's endpoints on the Wakeful runtime of the thread.
///
/// # Panics
///
/// Its methods panic if the thread runs no runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct WakefulRuntime;

impl Runtime for WakefulRuntime {
    fn new_timer(&self, deadline: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Timer(time::sleep_until(deadline.into())))
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        // Detached: quinn ends its tasks when their endpoint or connection is dropped.
        drop(wakeful::spawn(future));
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        socket.set_nonblocking(true)?;
        Ok(Arc::new(Socket {
            state: UdpSocketState::new((&socket).into())?,
            io: UdpSocket::from_std(socket)?,
        }))
    }

    fn now(&self) -> Instant {
        time::Instant::now().into()
    }
}

/// A timer of the runtime. A type of this crate, because both trait and `Sleep` are of others.
#[derive(Debug)]
struct Timer(Sleep);

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        Pin::new(&mut self.0).reset(deadline.into());
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// A socket, and what quinn-udp knows of the kernel's abilities.
#[derive(Debug)]
struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.io.try_io(Interest::WRITABLE, || {
            self.state.send((&self.io).into(), transmit)
        })
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            let received = self.io.try_io(Interest::READABLE, || {
                self.state.recv((&self.io).into(), bufs, meta)
            });
            match received {
                // The readiness was that of a datagram which has been taken.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                received => return Poll::Ready(received),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

/// Waits until a socket is writable. Wakeful wakes every task that waits, so it needs no state.
#[derive(Debug)]
struct Poller(Arc<Socket>);

impl UdpPoller for Poller {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.io.poll_send_ready(cx)
    }
}
