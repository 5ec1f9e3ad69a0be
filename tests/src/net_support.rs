//! Helpers of the socket tests: connected pairs, peers of the standard library, the flags of a
//! descriptor, unique names, and a process per test.
//!
//! All traffic stays on loopback. [`run`] bounds every test: one that would hang fails instead.

use std::future::Future;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use wakeful_net::{TcpListener, TcpStream, UnixListener};

/// Time limit of a test, longer than any of them takes on a busy machine.
const HUNG: Duration = Duration::from_secs(60);

/// Runs a test's future on a runtime of its own.
///
/// # Panics
///
/// When the future does not end.
pub fn run<F: Future>(future: F) -> F::Output {
    wakeful::block_on(async {
        wakeful::time::timeout(HUNG, future)
            .await
            .expect("the test hangs: a wake-up was lost")
    })
}

/// Binds a listener to a free port of 127.0.0.1.
///
/// # Panics
///
/// When it cannot be bound.
pub async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bind on loopback")
}

/// Creates two streams that are connected to each other; the first is the accepted one.
///
/// # Panics
///
/// When they cannot be created.
pub async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = listen().await;
    let address = listener.local_addr().expect("bound");
    let client = TcpStream::connect(address).await.expect("connect");
    let (server, _) = listener.accept().await.expect("accept");
    (server, client)
}

/// Creates an accepted stream and its peer, a blocking stream of the standard library.
///
/// # Panics
///
/// When they cannot be created.
pub async fn tcp_and_std() -> (TcpStream, std::net::TcpStream) {
    let listener = listen().await;
    let address = listener.local_addr().expect("bound");
    let peer = std::net::TcpStream::connect(address).expect("connect");
    let (server, _) = listener.accept().await.expect("accept");
    (server, peer)
}

/// Yields for a few turns, each of which dispatches the kernel's events.
///
/// Data on loopback has arrived when the sending call returns, so one turn receives its event.
pub async fn settle() {
    for _ in 0..4 {
        wakeful::task::yield_now().await;
    }
}

/// Returns the kernel's flags of an open file (`O_NONBLOCK` and so on), close-on-exec included.
///
/// # Panics
///
/// When /proc cannot be read.
#[must_use]
pub fn flags(fd: impl AsFd) -> u32 {
    let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
    let info = std::fs::read_to_string(path).expect("read /proc/self/fdinfo");
    let flags = info
        .lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .expect("a line with flags");
    u32::from_str_radix(flags.trim(), 8).expect("an octal number")
}

/// `O_NONBLOCK`.
pub const NONBLOCK: u32 = 0o4000;
/// `O_CLOEXEC`.
pub const CLOEXEC: u32 = 0o200_0000;

/// Returns `len` random bytes, so that a comparison detects a shift or a swap.
#[must_use]
pub fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

/// A directory that is removed when this is dropped.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Creates an empty directory.
    ///
    /// # Panics
    ///
    /// When it cannot be created.
    #[must_use]
    pub fn new() -> Self {
        let path = short_parent(std::env::temp_dir()).join(unique("wakeful-net"));
        std::fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    /// Returns the path of a file in the directory.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns the path of the directory.
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

/// Returns `parent`, or `/tmp` if the path of a Unix socket in it could exceed 107 bytes.
fn short_parent(parent: PathBuf) -> PathBuf {
    if parent.as_os_str().len() > 60 {
        PathBuf::from("/tmp")
    } else {
        parent
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

/// Returns a unique abstract Unix name, with its leading NUL byte.
#[must_use]
pub fn abstract_name() -> String {
    format!("\0{}", unique("wakeful-net"))
}

/// Binds a Unix listener to a unique abstract name.
///
/// # Panics
///
/// When it cannot be bound.
#[must_use]
pub fn listen_unix() -> (UnixListener, String) {
    let name = abstract_name();
    (
        UnixListener::bind(&name).expect("bind an abstract name"),
        name,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_directory_leaves_room_for_the_path_of_a_socket() {
        assert_eq!(
            short_parent("/a/usual/one".into()),
            Path::new("/a/usual/one")
        );
        assert_eq!(short_parent("x".repeat(61).into()), Path::new("/tmp"));
    }
}
