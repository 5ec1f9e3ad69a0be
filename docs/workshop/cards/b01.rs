//! B1. A connection whose event has one bit more
//!
//! From: K. Stage: 6.
//! Input: five clients reset their connections.
//! Bug: 5 connections stay open
//! Fix: 0 connections stay open
//!
//! A reset is reported as `IN | ERR | HUP | RDHUP`. That is no case of the `match`, so the connection stays
//! open, and each reset leaves a descriptor behind. An event is a set of bits: test each bit.

use std::collections::HashMap;
use std::io;

use card::{pair, reset};
use kernel::{ERR, ET, Epoll, Event, HUP, IN, RDHUP, Stream};

type Open = HashMap<u64, Stream>;

mod bug {
    use super::*;

    pub fn turn(epoll: &Epoll, open: &mut Open) -> io::Result<()> {
        const CLOSED: u32 = IN | RDHUP;
        let mut events = [Event::default(); 32];
        for event in epoll.wait(&mut events, -1)? {
            match event.flags() {
                IN => echo(&open[&event.token()])?,
                CLOSED => drop(open.remove(&event.token())),
                _ => {}
            }
        }
        Ok(())
    }
}

mod fix {
    use super::*;

    pub fn turn(epoll: &Epoll, open: &mut Open) -> io::Result<()> {
        let mut events = [Event::default(); 32];
        for event in epoll.wait(&mut events, -1)? {
            let failed = event.flags() & IN != 0 && echo(&open[&event.token()]).is_err();
            if failed || event.flags() & (ERR | HUP | RDHUP) != 0 {
                open.remove(&event.token());
            }
        }
        Ok(())
    }
}

fn echo(stream: &Stream) -> io::Result<()> {
    let mut buffer = [0; 512];
    let n = stream.read(&mut buffer)?;
    stream.write(&buffer[..n]).map(drop)
}

fn input(turn: fn(&Epoll, &mut Open) -> io::Result<()>) -> String {
    let (epoll, mut open) = (Epoll::new().unwrap(), Open::new());
    for token in 0..5 {
        let (client, server) = pair();
        reset(client, &server);
        epoll.add(&server, IN | RDHUP | ET, token).unwrap();
        open.insert(token, server);
    }
    turn(&epoll, &mut open).unwrap();
    format!("{} connections stay open", open.len())
}

fn main() {
    card::run(&|| input(bug::turn), &|| input(fix::turn));
}
