//! The echo: what the server does with one connection, from the first byte to the last.
//!
//! This is the file to read first. It is ordinary `async` code: it looks like a thread that serves
//! one client, and thousands of it run on one thread, because wherever it says `.await` the
//! runtime goes and serves somebody else.
//!
//! Called by [`crate::server`], once per connection; calls nothing but the connection itself.
//!
//! Two questions shape it, and both are about memory:
//!
//! - *Where do the bytes lie between reading and writing?* In one buffer that all connections of
//!   the thread share. Only one of them runs at a time, so it needs no lock; a connection borrows
//!   it when it has something to read and returns it before the next `.await`. (The compiler's lint
//!   `await_holding_refcell_ref` checks that.) A connection at rest therefore holds no buffer.
//! - *What if the peer sends faster than it reads?* What it did not take is copied into a `Vec` of
//!   this connection, and nothing more is read until the peer has taken it all. The kernel's
//!   buffers then fill up, and TCP itself makes the sender wait. That is backpressure: however
//!   much is sent, at most one buffer per slow connection is held here.

use tracing::trace;

use crate::connection::{Connection, Lost};
use crate::log::escaped;
use crate::server::Server;

/// Sends everything that arrives on `peer` back to it, until the peer says that it has finished.
///
/// # Errors
///
/// The error that ended the connection; the server as a whole is not affected.
pub(crate) async fn echo(peer: &Connection, server: &Server) -> Result<(), Lost> {
    // One wait for all messages: making it anew each time costs more than a glance at the socket.
    let mut input = server.patience.for_input(peer.readable());
    loop {
        // Sleep until there is something to read. An idle connection spends its life here.
        (&mut input).await?;

        // Read it and send it back at once. A socket nearly always takes the answer at once, and
        // then this is all: one recv(2), one send(2), nothing copied, nothing kept.
        let late = {
            let mut buffer = server.buffer.borrow_mut();
            let message = match peer.try_read(&mut buffer)? {
                None => continue,         // a false alarm: back to sleep
                Some(0) => return Ok(()), // the peer has finished, and has all its bytes back
                Some(length) => &buffer[..length],
            };
            trace!(%peer, message = %escaped(message), "received");
            server.counters.count(message);
            match peer.try_write(message)? {
                taken if taken == message.len() => continue,
                taken => message[taken..].to_vec(),
            }
        };

        // Boxed, so that only the slow carry what being slow takes, not every connection at rest.
        Box::pin(give(late, peer, server)).await?;
    }
}

/// The peer is slow: gives it the rest as fast as it takes it, before anything more is read.
async fn give(late: Vec<u8>, peer: &Connection, server: &Server) -> Result<(), Lost> {
    let mut rest = late.as_slice();
    while !rest.is_empty() {
        server.patience.for_output(peer.writable()).await?;
        rest = &rest[peer.try_write(rest)?..];
    }
    Ok(())
}
