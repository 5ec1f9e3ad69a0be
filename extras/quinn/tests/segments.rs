//! A QUIC echo over two endpoints whose sockets count the datagrams that pass in segments.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::PrivatePkcs8KeyDer;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{
    AsyncTimer, AsyncUdpSocket, ClientConfig, Endpoint, EndpointConfig, Runtime, ServerConfig,
    UdpPoller,
};
use wakeful::time::timeout;
use wakeful_quinn::WakefulRuntime;

/// Number of datagrams in calls that moved several.
#[derive(Debug, Default)]
struct Counts {
    sent: AtomicUsize,
    received: AtomicUsize,
}

/// Wakeful's runtime, with sockets that count.
#[derive(Debug)]
struct Counting(Arc<Counts>);

impl Runtime for Counting {
    fn new_timer(&self, deadline: Instant) -> Pin<Box<dyn AsyncTimer>> {
        WakefulRuntime.new_timer(deadline)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        WakefulRuntime.spawn(future);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Ok(Arc::new(Counted {
            socket: WakefulRuntime.wrap_udp_socket(socket)?,
            counts: Arc::clone(&self.0),
        }))
    }

    fn now(&self) -> Instant {
        WakefulRuntime.now()
    }
}

#[derive(Debug)]
struct Counted {
    socket: Arc<dyn AsyncUdpSocket>,
    counts: Arc<Counts>,
}

impl AsyncUdpSocket for Counted {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)?;
        let len = transmit.contents.len();
        let count = transmit.segment_size.map_or(1, |size| len.div_ceil(size));
        assert!(count <= self.max_transmit_segments());
        if count > 1 {
            self.counts.sent.fetch_add(count, Ordering::Relaxed);
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = self.socket.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(n)) = received {
            for meta in &meta[..n] {
                let count = meta.len.div_ceil(meta.stride.max(1));
                assert!(count <= self.max_receive_segments());
                if count > 1 {
                    self.counts.received.fetch_add(count, Ordering::Relaxed);
                }
            }
        }
        received
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

/// Opens an endpoint on a free port, and returns it with its counts.
fn endpoint(config: Option<ServerConfig>) -> (Endpoint, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let runtime = Arc::new(Counting(Arc::clone(&counts)));
    let endpoint = Endpoint::new(EndpointConfig::default(), config, socket, runtime);
    (endpoint.unwrap(), counts)
}

/// Returns the configurations of a server with a new certificate, and of a client that trusts it.
fn configurations() -> (ServerConfig, ClientConfig) {
    let generated = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
    let key = PrivatePkcs8KeyDer::from(generated.signing_key.serialize_der());
    let certificate = generated.cert.der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    (
        ServerConfig::with_single_cert(vec![certificate], key.into()).unwrap(),
        ClientConfig::with_root_certificates(Arc::new(roots)).unwrap(),
    )
}

#[test]
fn a_mebibyte_is_echoed_and_most_of_its_datagrams_pass_in_segments() {
    let bytes: Vec<u8> = (0..1_u32 << 18).flat_map(u32::to_le_bytes).collect();
    let (server_config, client_config) = configurations();
    let work = async {
        let (server, server_counts) = endpoint(Some(server_config));
        let (client, client_counts) = endpoint(None);
        let address = server.local_addr().unwrap();
        let serving = wakeful::spawn(async move {
            let connection = server.accept().await.unwrap().await.unwrap();
            let (mut send, mut receive) = connection.accept_bi().await.unwrap();
            while let Some(chunk) = receive.read_chunk(64 * 1024, true).await.unwrap() {
                send.write_chunk(chunk.bytes).await.unwrap();
            }
            send.finish().unwrap();
            connection.closed().await
        });
        let connecting = client.connect_with(client_config, address, "localhost");
        let connection = connecting.unwrap().await.unwrap();
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        let sending = {
            let bytes = bytes.clone();
            wakeful::spawn(async move {
                send.write_all(&bytes).await.unwrap();
                send.finish().unwrap();
                send
            })
        };
        let back = receive.read_to_end(bytes.len()).await.unwrap();
        assert!(back == bytes);
        drop(sending.await.unwrap());
        connection.close(0_u32.into(), b"done");
        serving.await.unwrap();
        // A datagram of QUIC has at most 1,472 bytes here, so a mebibyte takes more than 700.
        for counts in [server_counts, client_counts] {
            let sent = counts.sent.load(Ordering::Relaxed);
            let received = counts.received.load(Ordering::Relaxed);
            assert!(sent > 350 && received > 350, "{sent} {received}");
        }
    };
    wakeful::block_on(async { timeout(Duration::from_secs(60), work).await.unwrap() });
}
