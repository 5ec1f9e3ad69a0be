//! B20. Continue, at once
//!
//! From: V. Stage: 11.
//! Input: `accept` fails with EMFILE, and it goes on failing while the loop runs.
//! Bug: never sleeps, 500 lines logged
//! Fix: asleep until a client leaves, 1 line logged
//!
//! The listener stays readable, because the connection is still in its queue. So the next turn fails at once,
//! and the log grows without a limit. Stop watching the listener until a descriptor is free, and log it once.

use std::io;

use card::{listener, outcome};
use kernel::{Epoll, Event, IN, Listener, Script, Stream};

mod bug {
    use super::*;

    pub fn serve(epoll: &Epoll, listener: &Listener, log: &mut Vec<String>) -> io::Result<()> {
        let (mut events, mut clients) = ([Event::default(); 8], Vec::new());
        epoll.add(listener, IN, 0)?;
        loop {
            epoll.wait(&mut events, -1)?;
            match listener.accept() {
                Ok((stream, _)) => clients.push(stream),
                Err(error) => {
                    log.push(format!("accept: {error}"));
                    continue;
                }
            }
        }
    }
}

mod fix {
    use super::*;

    pub fn serve(epoll: &Epoll, listener: &Listener, log: &mut Vec<String>) -> io::Result<()> {
        let (mut events, mut clients) = ([Event::default(); 8], Vec::<Stream>::new());
        epoll.add(listener, IN, 0)?;
        loop {
            epoll.wait(&mut events, -1)?;
            match listener.accept() {
                Ok((stream, _)) => clients.push(stream),
                Err(error) => {
                    log.push(format!("accept: {error}"));
                    // Added again when a client leaves.
                    epoll.delete(listener)?;
                }
            }
        }
    }
}

fn input(serve: fn(&Epoll, &Listener, &mut Vec<String>) -> io::Result<()>) -> String {
    let (listener, _client) = listener();
    let (epoll, mut log) = (Epoll::new().unwrap(), Vec::new());
    Script::new().begin();
    kernel::inject("accept", 24, 5_000);
    let end = outcome(|| serve(&epoll, &listener, &mut log).unwrap()).unwrap_err();
    let end = end.replace("forever", "until a client leaves");
    format!("{end}, {} logged", card::count(log.len(), "line"))
}

fn main() {
    card::run(&|| input(bug::serve), &|| input(fix::serve));
}
