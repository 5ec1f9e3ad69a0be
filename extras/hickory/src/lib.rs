//! DNS lookups on Wakeful: [`WakefulProvider`] implements hickory's [`RuntimeProvider`].
//!
//! `wakeful_net::lookup_host` asks the C library in the blocking pool, with one thread per concurrent
//! lookup. hickory-resolver sends the queries itself and needs no other thread.
//!
//! ```no_run
//! use std::net::{IpAddr, Ipv4Addr};
//!
//! use hickory_resolver::Resolver;
//! use hickory_resolver::config::{NameServerConfig, ResolverConfig};
//! use wakeful_hickory::WakefulProvider;
//!
//! wakeful::block_on(async {
//!     let server = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
//!     let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
//!     let resolver = Resolver::builder_with_config(config, WakefulProvider).build()?;
//!     for address in resolver.lookup_ip("example.com.").await?.iter() {
//!         println!("{address}");
//!     }
//!     Ok::<(), hickory_resolver::net::NetError>(())
//! })
//! # .unwrap();
//! ```
//!
//! Half of the file delegates to the sockets: their types and hickory's traits are both of other
//! crates, so types of this one have to be between them. The program `resolve` in `examples/ecosystem`
//! is a complete client.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::net::runtime::{DnsTcpStream, DnsUdpSocket, RuntimeProvider, Spawn, Time};
use wakeful::io::{AsyncRead, AsyncWrite};
use wakeful::time;
use wakeful_net::TcpSocket;

/// Time limit of a connection attempt for which hickory sets none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs hickory's lookups on the Wakeful runtime of the thread.
///
/// # Panics
///
/// Lookups panic if the thread runs no runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct WakefulProvider;

impl RuntimeProvider for WakefulProvider {
    type Handle = WakefulSpawner;
    type Timer = WakefulTime;
    type Udp = UdpSocket;
    type Tcp = TcpStream;

    fn create_handle(&self) -> WakefulSpawner {
        WakefulSpawner
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        local: Option<SocketAddr>,
        limit: Option<Duration>,
    ) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>> {
        Box::pin(async move {
            let socket = match server {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            if let Some(local) = local {
                socket.bind(local)?;
            }
            socket.set_nodelay(true)?;
            let connecting = socket.connect(server);
            let stream = time::timeout(limit.unwrap_or(CONNECT_TIMEOUT), connecting).await??;
            Ok(TcpStream(stream))
        })
    }

    fn bind_udp(
        &self,
        local: SocketAddr,
        _server: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<UdpSocket>> + Send>> {
        Box::pin(async move { wakeful_net::UdpSocket::bind(local).await.map(UdpSocket) })
    }
}

/// Spawns hickory's background tasks.
#[derive(Clone, Copy, Debug, Default)]
pub struct WakefulSpawner;

impl Spawn for WakefulSpawner {
    fn spawn_bg(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        // Detached: a task ends with the connection that it serves.
        drop(wakeful::spawn(future));
    }
}

/// hickory's timeouts on the clock of the runtime, which tests can pause.
#[derive(Clone, Copy, Debug, Default)]
pub struct WakefulTime;

#[async_trait]
impl Time for WakefulTime {
    async fn delay_for(duration: Duration) {
        time::sleep(duration).await;
    }

    async fn timeout<F: Future + Send + 'static>(
        duration: Duration,
        future: F,
    ) -> io::Result<F::Output> {
        Ok(time::timeout(duration, future).await?)
    }
}

/// A socket of `wakeful-net` with hickory's trait.
#[derive(Debug)]
pub struct UdpSocket(wakeful_net::UdpSocket);

impl DnsUdpSocket for UdpSocket {
    type Time = WakefulTime;

    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.0.poll_recv_from(cx, buf)
    }

    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.0.poll_send_to(cx, buf, target)
    }
}

/// A stream of `wakeful-net` with hickory's trait.
#[derive(Debug)]
pub struct TcpStream(wakeful_net::TcpStream);

impl DnsTcpStream for TcpStream {
    type Time = WakefulTime;
}

impl AsyncRead for TcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}
