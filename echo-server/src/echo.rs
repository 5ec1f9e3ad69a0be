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
        let taken = match server.patience.for_output(peer.writable()).await {
            Ok(()) => peer.try_write(rest)?,
            // The kernel tells of room only when it is a good part of its buffer, so nothing may
            // have been told of a peer that takes little at a time: asked, the kernel knows.
            Err(error) => match peer.offer(rest)? {
                0 => return Err(error.into()),
                taken => taken,
            },
        };
        rest = &rest[taken..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::rc::Rc;
    use std::time::Duration;

    use wakeful::runtime::Builder;
    use wakeful::task::{JoinHandle, yield_now};
    use wakeful::time::advance;
    use wakeful_net::UnixStream;

    use super::*;
    use crate::patience::Patience;
    use crate::server::Options;
    use crate::stream::{Peer, Stream};

    const LIMIT: Duration = Duration::from_secs(10);

    fn spawn_give(peer: &Rc<Connection>, server: &Rc<Server>) -> JoinHandle<Result<(), Lost>> {
        let (peer, server) = (Rc::clone(peer), Rc::clone(server));
        wakeful::spawn(async move { give(vec![7; 3000], &peer, &server).await })
    }

    #[test]
    fn who_takes_little_at_a_time_is_waited_for_and_who_takes_nothing_is_not() {
        let runtime = Builder::new().start_paused(true).build().expect("epoll");
        runtime.block_on(async {
            let options = Options {
                buffer_size: 1,
                max_connections: 1,
                patience: Patience::new(None, Some(LIMIT)),
            };
            let server = Server::start(options, Vec::new()).expect("it has no socket");
            let (here, there) = std::os::unix::net::UnixStream::pair().expect("a pair");
            there.set_nonblocking(true).expect("an open socket");
            here.set_nonblocking(true).expect("an open socket");
            let stream = Stream::Unix(UnixStream::from_std(here).expect("it can be watched"));
            let peer = Rc::new(Connection::new(stream, Peer::Unix(None), Rc::default()));
            peer.writable().await.expect("it is open");

            // Full, of small pieces, each of which leaves room when it is taken. A few are far from
            // what the kernel would tell of.
            while peer.try_write(&[7; 1000]).expect("open") > 0 {}
            let slow = spawn_give(&peer, &server);
            (&there).read_exact(&mut [0; 4000]).expect("it was full");
            yield_now().await;
            assert!(
                !slow.is_finished(),
                "an event, which this test is not about"
            );
            advance(LIMIT).await;
            slow.await.expect("no panic").expect("it took something");

            while peer.offer(&[7; 1000]).expect("open") > 0 {}
            let stuck = spawn_give(&peer, &server);
            yield_now().await;
            advance(LIMIT).await;
            let lost = stuck.await.expect("no panic").expect_err("nothing");
            assert_eq!(lost.error.kind(), ErrorKind::TimedOut);
        });
    }
}
