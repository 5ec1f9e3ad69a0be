//! What the tests of sockets share: connected pairs, peers of the standard library, a look at a
//! descriptor's flags, names that no other test uses, and a process of one's own.
//!
//! Everything stays on loopback. [`run`] bounds every test: what would hang fails instead.

use std::future::Future;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use wakeful_net::{TcpListener, TcpStream, UnixListener};

/// Longer than any of these tests takes on a busy machine.
const HUNG: Duration = Duration::from_secs(60);

/// Runs a test's future on a runtime of its own.
///
/// # Panics
///
/// When it does not end.
pub fn run<F: Future>(future: F) -> F::Output {
    wakeful::block_on(async {
        wakeful::time::timeout(HUNG, future)
            .await
            .expect("the test hangs: a wake-up was lost")
    })
}

/// A listener on a free port of 127.0.0.1.
///
/// # Panics
///
/// When it cannot be made.
pub async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bind on loopback")
}

/// Two streams that are connected to each other; the first one was accepted.
///
/// # Panics
///
/// When they cannot be made.
pub async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = listen().await;
    let address = listener.local_addr().expect("bound");
    let client = TcpStream::connect(address).await.expect("connect");
    let (server, _) = listener.accept().await.expect("accept");
    (server, client)
}

/// An accepted stream and its peer, a blocking stream of the standard library.
///
/// # Panics
///
/// When they cannot be made.
pub async fn tcp_and_std() -> (TcpStream, std::net::TcpStream) {
    let listener = listen().await;
    let address = listener.local_addr().expect("bound");
    let peer = std::net::TcpStream::connect(address).expect("connect");
    let (server, _) = listener.accept().await.expect("accept");
    (server, peer)
}

/// Lets the runtime look at the kernel's events a few times.
///
/// What is sent on loopback has arrived when the sending call returns, so that one turn sees it.
pub async fn settle() {
    for _ in 0..4 {
        wakeful::task::yield_now().await;
    }
}

/// The open file's flags as the kernel has them (`O_NONBLOCK` and so on), close-on-exec included.
///
/// # Panics
///
/// When /proc cannot be read.
#[must_use]
pub fn flags(fd: impl AsFd) -> u32 {
    let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
    let info = std::fs::read_to_string(path).expect("/proc is there");
    let flags = info
        .lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .expect("has flags");
    u32::from_str_radix(flags.trim(), 8).expect("octal")
}

/// `O_NONBLOCK`.
pub const NONBLOCK: u32 = 0o4000;
/// `O_CLOEXEC`.
pub const CLOEXEC: u32 = 0o200_0000;

/// `len` bytes in which a shift or a swap is noticed.
#[must_use]
pub fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

/// A directory that vanishes at the end of the test.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Makes an empty one.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(unique("wakeful-net"));
        std::fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    /// A path in it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for TempDir {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if let Err(err) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{}: {err}", self.0.display());
        }
    }
}

fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "{prefix}-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// An abstract Unix name that nobody else uses, with its NUL byte in front.
#[must_use]
pub fn abstract_name() -> String {
    format!("\0{}", unique("wakeful-net"))
}

/// A Unix listener under such a name.
///
/// # Panics
///
/// When it cannot be made.
#[must_use]
pub fn listen_unix() -> (UnixListener, String) {
    let name = abstract_name();
    (
        UnixListener::bind(&name).expect("bind an abstract name"),
        name,
    )
}

/// Runs the body of a test in a process that runs nothing else, because it changes what all threads
/// share (descriptor limits, signal handlers) or counts it.
///
/// `name` is the test's own name, with its modules.
///
/// # Panics
///
/// When the body does.
pub fn alone(name: &str, body: impl FnOnce()) {
    const ALONE: &str = "WAKEFUL_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return body();
    }
    let this = std::env::current_exe().expect("knows itself");
    let run = Command::new(this)
        .args([name, "--exact", "--nocapture"])
        .env(ALONE, "1")
        .output();
    let output = run.expect("starts itself");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("1 passed"), "no test is called {name}:\n{out}");
}
