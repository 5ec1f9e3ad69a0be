//! B37. Stopped by a close
//!
//! From: F. Stage: 9.
//! Input: another thread stops the server while the loop sleeps.
//! Bug: never ends: 2000 waits failed
//! Fix: ends after 1 wait
//!
//! `stop` closes the descriptor that the loop waits on, and the loop answers each error with `continue`. It then
//! uses a core, and a new descriptor with the same number would be polled instead. Set a flag, then wake the loop
//! through an `eventfd`.

use std::cell::Cell;
use std::io;

use card::outcome;
use kernel::{Epoll, Event, EventFd, IN, Script};

mod bug {
    use super::*;

    /// `stop` has closed the descriptor, and has set nothing.
    pub fn run(epoll: &Epoll, _stopping: &Cell<bool>) -> io::Result<()> {
        let mut events = [Event::default(); 8];
        loop {
            match epoll.wait(&mut events, -1) {
                Ok(_) => handle(),
                Err(_) => continue,
            }
        }
    }
}

mod fix {
    use super::*;

    /// `stop` has set the flag, and has signaled an `eventfd`.
    pub fn run(epoll: &Epoll, stopping: &Cell<bool>) -> io::Result<()> {
        let mut events = [Event::default(); 8];
        while !stopping.get() {
            match epoll.wait(&mut events, -1) {
                Ok(_) => handle(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn handle() {}

fn with_bug() -> String {
    const EBADF: i32 = 9;
    let epoll = Epoll::new().unwrap();
    Script::new().begin();
    // A closed descriptor fails forever; this record ends.
    kernel::inject("epoll_wait", EBADF, 2_000);
    outcome(|| bug::run(&epoll, &Cell::new(false)).unwrap()).unwrap_err();
    format!("never ends: {} failed", card::count(kernel::count("epoll_wait"), "wait"))
}

fn with_fix() -> String {
    let (epoll, wakeup) = (Epoll::new().unwrap(), EventFd::new().unwrap());
    epoll.add(&wakeup, IN, 0).unwrap();
    let stopping = std::rc::Rc::new(Cell::new(false));
    let flag = std::rc::Rc::clone(&stopping);
    let stop = move || {
        flag.set(true);
        wakeup.signal();
        std::mem::forget(wakeup);
    };
    Script::new().then("another thread stops the server", stop).begin();
    fix::run(&epoll, &stopping).unwrap();
    format!("ends after {}", card::count(kernel::count("epoll_wait"), "wait"))
}

fn main() {
    card::run(&with_bug, &with_fix);
}
