//! Waits for any descriptor that epoll can watch: here inotify, which reports changes in a folder.
//!
//! ```text
//! cargo run -p wakeful-examples --example any_fd -- /tmp
//! touch /tmp/one; mv /tmp/one /tmp/two; rm /tmp/two                 # in a second terminal
//! ```
//!
//! `AsyncFd` only waits; the operation is up to the program. It takes a descriptor in non-blocking
//! mode. When the operation would block, `try_io` clears the readiness. `wakeful-net` is built on
//! `AsyncFd` alone.

use std::io;
use std::mem::MaybeUninit;
use std::process::ExitCode;

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use wakeful::io::AsyncFd;
use wakeful_examples::{address, finish};

fn main() -> ExitCode {
    finish(wakeful::block_on(watch(&address(1, "."))))
}

async fn watch(folder: &str) -> io::Result<()> {
    let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    let interesting = WatchFlags::CREATE | WatchFlags::MOVE | WatchFlags::DELETE;
    inotify::add_watch(&inotify, folder, interesting)
        .map_err(|errno| io::Error::new(errno.kind(), format!("watch {folder}: {errno}")))?;
    let inotify = AsyncFd::new(inotify)?;
    println!("watching {folder}");

    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = Reader::new(inotify.get_ref(), &mut buffer);
    loop {
        let mut guard = inotify.readable().await?;
        // `next` calls read(2) when its buffer is empty, and that can fail with `EAGAIN`.
        match guard.try_io(|_fd| Ok(events.next()?)) {
            Ok(event) => {
                let event = event?;
                let name = event.file_name().map(|name| name.to_string_lossy());
                // Escaped, because a file name can contain terminal control sequences.
                println!(
                    "{:?} {}",
                    event.events(),
                    name.unwrap_or_default().escape_debug()
                );
            }
            // `try_io` has cleared the readiness: the next `readable` waits for a new event.
            Err(_would_block) => {}
        }
    }
}
