//! The file of a Unix socket: made way for before binding, removed at the end.
//!
//! A socket file outlives its server, so the next start finds it in the way. Removing whatever
//! lies there would be wrong: it may be somebody's file, or the socket of a server that runs. So
//! only a socket on which nobody listens is removed, and at the end only the file that this
//! process made (by device and inode, in case another server has taken the path over).
//!
//! Called by [`crate::listen`].

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{info, warn};
use wakeful::time::timeout;
use wakeful_net::UnixStream;

/// How long a server may take to let us know that it is there. Connecting to a Unix socket takes
/// no time, unless the queue of a server that is alive is full.
const PATIENCE: Duration = Duration::from_secs(1);

/// Removes a stale socket at `path`, so that it can be bound.
///
/// # Errors
///
/// If anything else is there, which is left as it is.
pub(crate) async fn make_way(path: &Path) -> io::Result<()> {
    // Not `metadata`: a symbolic link is somebody's, wherever it points.
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(in_the_way("something that is not a socket is there"));
    }
    match timeout(PATIENCE, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
            remove_if_same(path, Identity::of(&found))?;
            info!("replaced the stale socket {}", path.display());
            Ok(())
        }
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(Ok(_)) | Err(_) => Err(in_the_way("another server listens there")),
        Ok(Err(error)) => Err(error),
    }
}

fn in_the_way(what: &str) -> io::Error {
    io::Error::new(ErrorKind::AddrInUse, format!("{what}; it is left as it is"))
}

/// Tells one file from another that later has the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(metadata: &Metadata) -> Identity {
        Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// Removes the file unless another one has taken its name.
fn remove_if_same(path: &Path, identity: Identity) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(now) if Identity::of(&now) == identity => fs::remove_file(path),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The socket file that this server made. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

impl SocketFile {
    /// Takes charge of the file at `path`, which has just been bound.
    pub(crate) fn adopt(path: &Path) -> io::Result<SocketFile> {
        let identity = Identity::of(&fs::symlink_metadata(path)?);
        Ok(SocketFile {
            path: path.to_owned(),
            identity,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = remove_if_same(&self.path, self.identity) {
            warn!(
                "the socket file {} could not be removed: {error}",
                self.path.display()
            );
        }
    }
}
