//! Any descriptor that epoll can watch: here inotify, which tells what happens in a folder.
//!
//! ```text
//! cargo run -p wakeful-examples --example any_fd -- /tmp
//! touch /tmp/hello; mv /tmp/hello /tmp/goodbye; rm /tmp/goodbye     # in a second terminal
//! ```
//!
//! `AsyncFd` does the waiting and nothing else; the operation is yours. Give it a descriptor in
//! non-blocking mode, and when the operation would block, let the guard know. `wakeful-net` is
//! built on nothing more.

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
        // Reads when its buffer is empty; then the kernel may say that there is no more.
        match guard.try_io(|_fd| Ok(events.next()?)) {
            Ok(event) => {
                let event = event?;
                let name = event.file_name().map(|name| name.to_string_lossy());
                // Escaped: a file may be named after what moves a terminal's cursor.
                println!(
                    "{:?} {}",
                    event.events(),
                    name.unwrap_or_default().escape_debug()
                );
            }
            // Now the guard knows, and the next `readable` waits for the kernel.
            Err(_would_block) => {}
        }
    }
}
