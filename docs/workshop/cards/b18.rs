//! B18. An interruption that looks like the end
//!
//! From: V. Stage: 6.
//! Input: a signal comes during the first of two waits.
//! Bug: 0 of 2 events handled, exit status 0
//! Fix: 2 of 2 events handled, exit status 0
//!
//! Any error leaves the loop, and the program ends as if its work were done. Even the language's own runtime
//! can send the signal. `EINTR` is no result of the wait: wait again.

use std::io;

use kernel::{Epoll, Event, EventFd, IN, Script};

mod bug {
    use super::*;

    pub fn handle(epoll: &Epoll, wanted: usize) -> (usize, i32) {
        let (mut events, mut handled) = ([Event::default(); 1], 0);
        while handled < wanted {
            let Ok(ready) = epoll.wait(&mut events, -1) else { break };
            handled += ready.len();
        }
        (handled, 0)
    }
}

mod fix {
    use super::*;

    pub fn handle(epoll: &Epoll, wanted: usize) -> (usize, i32) {
        let (mut events, mut handled) = ([Event::default(); 1], 0);
        while handled < wanted {
            match epoll.wait(&mut events, -1) {
                Ok(ready) => handled += ready.len(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    eprintln!("epoll_wait: {error}");
                    return (handled, 1);
                }
            }
        }
        (handled, 0)
    }
}

fn input(handle: fn(&Epoll, usize) -> (usize, i32)) -> String {
    let (epoll, ready) = (Epoll::new().unwrap(), EventFd::new().unwrap());
    ready.signal();
    epoll.add(&ready, IN, 0).unwrap();
    Script::new().begin();
    kernel::inject("epoll_wait", 4, 1);
    let (handled, status) = handle(&epoll, 2);
    format!("{handled} of 2 events handled, exit status {status}")
}

fn main() {
    card::run(&|| input(bug::handle), &|| input(fix::handle));
}
