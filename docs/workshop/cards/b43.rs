//! B43. Removed before the bind
//!
//! From: evio. Stage: 11.
//! Input: the path of the socket is a folder with a file.
//! Bug: started, the file is gone
//! Fix: refused: it is no socket; the file is there
//!
//! Everything at the path is removed before the bind, whatever it is. One wrong argument deletes a folder. Remove
//! only a socket, and only if nothing listens on it; refuse all else with a message.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

mod bug {
    use super::*;

    pub fn listen(path: &Path) -> io::Result<UnixListener> {
        // As Go's `RemoveAll`: no error if nothing is there.
        let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
        UnixListener::bind(path)
    }
}

mod fix {
    use super::*;

    pub fn listen(path: &Path) -> io::Result<UnixListener> {
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                return Err(io::Error::other("it is no socket"));
            }
            if UnixStream::connect(path).is_ok() {
                return Err(io::Error::other("another program listens on it"));
            }
            fs::remove_file(path)?;
        }
        UnixListener::bind(path)
    }
}

fn input(listen: fn(&Path) -> io::Result<UnixListener>) -> String {
    let path = std::env::temp_dir().join(format!("workshop-b43-{}", std::process::id()));
    fs::create_dir(&path).unwrap();
    fs::write(path.join("file"), "text").unwrap();
    let result = listen(&path);
    let file = if path.join("file").exists() { "there" } else { "gone" };
    let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
    match result {
        Ok(_) => format!("started, the file is {file}"),
        Err(error) => format!("refused: {error}; the file is {file}"),
    }
}

fn main() {
    card::run(&|| input(bug::listen), &|| input(fix::listen));
}
