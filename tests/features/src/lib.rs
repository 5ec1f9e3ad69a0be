//! Helpers of the tests: a run with a time limit, and connected pairs of every kind of stream.

use std::future::Future;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use wakeful::io::AsyncFd;
use wakeful_net::{TcpListener, TcpStream};

/// Time limit of a test; longer than any of these tests takes on a busy machine.
const HUNG: Duration = Duration::from_secs(60);

/// Runs a test's future on a new runtime.
///
/// # Panics
///
/// When the future does not complete.
pub fn run<F: Future>(future: F) -> F::Output {
    wakeful::block_on(async {
        wakeful::time::timeout(HUNG, future)
            .await
            .expect("the test hangs: a wake-up was lost")
    })
}

/// Returns two TCP streams that are connected to each other.
///
/// # Panics
///
/// When they cannot be created.
pub async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("bound");
    let client = TcpStream::connect(address).await.expect("connect");
    let (server, _) = listener.accept().await.expect("accept");
    (server, client)
}

/// Returns two sockets of std that are connected to each other, each in an `AsyncFd`.
///
/// # Panics
///
/// When they cannot be created.
pub fn fd_pair() -> (AsyncFd<StdUnixStream>, AsyncFd<StdUnixStream>) {
    let (left, right) = StdUnixStream::pair().expect("a pair");
    let fd = |socket: StdUnixStream| {
        socket.set_nonblocking(true).expect("a socket");
        AsyncFd::new(socket).expect("registered")
    };
    (fd(left), fd(right))
}

/// Returns bytes in which a shift or a swap is detected by comparison.
#[must_use]
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}
