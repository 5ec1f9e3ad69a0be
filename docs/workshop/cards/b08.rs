//! B8. Closed at the end of the function
//!
//! From: K. Stage: 5.
//! Input: three clients connect and leave, one after the other.
//! Bug: 3 descriptors more than before
//! Fix: 0 descriptors more than before
//!
//! `defer` runs when the function returns. A server's loop never returns, so each connection leaves a
//! descriptor and a record behind. A connection belongs to the turn of the loop, or to a task that ends with it.

use std::io;
use std::net::TcpStream;

use card::{connect, descriptors, listener};
use kernel::{Listener, Stream};

mod bug {
    use super::*;

    pub fn serve(listener: &Listener, mut next: impl FnMut() -> bool) -> io::Result<()> {
        // Closes all of them when the function returns.
        let mut deferred = Vec::new();
        while next() {
            let (stream, _) = listener.accept()?;
            talk(&stream)?;
            deferred.push(stream);
        }
        Ok(())
    }
}

mod fix {
    use super::*;

    pub fn serve(listener: &Listener, mut next: impl FnMut() -> bool) -> io::Result<()> {
        while next() {
            let (stream, _) = listener.accept()?;
            talk(&stream)?;
            // Closed here: it belongs to this turn.
            drop(stream);
        }
        Ok(())
    }
}

fn talk(stream: &Stream) -> io::Result<()> {
    stream.write(b"hello").map(drop)
}

/// Counts at the end of the third turn, because a real server never returns.
fn clients<'l>(listener: &'l Listener, more: &'l mut usize) -> impl FnMut() -> bool + 'l {
    let before = descriptors();
    let mut client: Option<TcpStream> = None;
    let mut left = 3;
    move || {
        drop(client.take());
        *more = descriptors() - before;
        if left == 0 {
            return false;
        }
        left -= 1;
        client = Some(connect(listener));
        true
    }
}

fn main() {
    let seen = |more| format!("{more} descriptors more than before");
    let (listener, first) = listener();
    listener.accept().unwrap();
    drop(first);
    card::run(
        &|| {
            let mut more = 0;
            bug::serve(&listener, clients(&listener, &mut more)).unwrap();
            seen(more)
        },
        &|| {
            let mut more = 0;
            fix::serve(&listener, clients(&listener, &mut more)).unwrap();
            seen(more)
        },
    );
}
