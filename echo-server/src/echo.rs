//! Does the same as the handler of `examples/echo.rs`, without a buffer per idle connection
//! (docs/PERFORMANCE.md has the bytes of both).
//!
//! This is the file to read first. It is ordinary `async` code: it reads like code for a thread that
//! serves one client. Thousands of these run on one thread, because at each `.await` that has to wait the
//! runtime runs other tasks.
//!
//! Called by [`crate::accept`], once per connection. Uses the connection, its time limits, and the
//! thread's buffer and counters.
//!
//! Two questions shape it, and both are about memory:
//!
//! - *Where are the bytes between reading and writing?* In one buffer that all connections of the
//!   thread share. Only one of them runs at a time, so it needs no lock. A connection borrows it
//!   when it has something to read and returns it before the next `.await`. (The compiler's lint
//!   `await_holding_refcell_ref` checks that.) So an idle connection holds no buffer.
//! - *What if the peer sends faster than it reads?* What the peer did not take is copied into a
//!   `Vec` of this connection, and nothing more is read until the peer has taken it all. The
//!   kernel's buffers then fill up, and TCP itself makes the sender wait. This is backpressure:
//!   however much is sent, the server holds at most one buffer per slow connection.

use tracing::trace;

use crate::connection::{Connection, ConnectionError};
use crate::log::escaped;

/// Sends everything that arrives on `peer` back to it, until the peer has finished.
///
/// # Errors
///
/// Returns the error that ended the connection. The server and its other connections go on.
pub(crate) async fn echo(peer: &Connection) -> Result<(), ConnectionError> {
    // One wait for all messages: it can be awaited again after it was ready.
    let mut readable = peer.state().timeouts.idle(peer.readable());
    loop {
        // Wait until there is something to read. An idle connection waits here.
        (&mut readable).await?;

        // Read it and send it back at once. A socket nearly always takes the answer at once, and
        // then this is all: one recv(2), one send(2), nothing copied, nothing kept.
        let unsent = {
            let state = peer.state();
            let mut buffer = state.buffer.borrow_mut();
            let message = match peer.try_read(&mut buffer)? {
                None => continue,         // nothing there: wait again
                Some(0) => return Ok(()), // the peer has finished, and has all its bytes back
                Some(length) => &buffer[..length],
            };
            trace!(%peer, message = %escaped(message), "received");
            state.counters.count_message(message);
            match peer.try_write(message)? {
                sent if sent == message.len() => continue,
                sent => message[sent..].to_vec(),
            }
        };

        // Boxed, so that only slow connections store its state, not every idle one.
        Box::pin(write_remaining(unsent, peer)).await?;
    }
}

/// Sends the rest of a message as fast as the slow peer takes it.
async fn write_remaining(unsent: Vec<u8>, peer: &Connection) -> Result<(), ConnectionError> {
    let mut rest = unsent.as_slice();
    while !rest.is_empty() {
        let sent = match peer.state().timeouts.write(peer.write(rest)).await {
            // A timeout, which is no error of the kernel. The kernel reports room only when a good
            // part of its buffer is free. A peer that takes little at a time causes no such event,
            // so the kernel is asked once more.
            Err(error) if error.raw_os_error().is_none() => match peer.send_now(rest)? {
                0 => return Err(error.into()),
                sent => sent,
            },
            sent => peer.count_sent(sent)?,
        };
        rest = &rest[sent..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::rc::Rc;
    use std::time::Duration;

    use clap::Parser;
    use wakeful::Shutdown;
    use wakeful::runtime::Builder;
    use wakeful::task::{JoinHandle, yield_now};
    use wakeful::time::advance;
    use wakeful_net::UnixStream;

    use super::*;
    use crate::args::Args;
    use crate::connection::{AcceptedBy, Peer, Stream};
    use crate::log::FailureLines;
    use crate::state::{Options, State};
    use crate::timeouts::Timeouts;

    const LIMIT: Duration = Duration::from_secs(10);

    fn spawn_write(peer: &Rc<Connection>) -> JoinHandle<Result<(), ConnectionError>> {
        let peer = Rc::clone(peer);
        wakeful::spawn(async move { write_remaining(vec![7; 3000], &peer).await })
    }

    #[test]
    fn write_timeout_restarts_on_progress_and_fires_without_it() {
        let runtime = Builder::new().start_paused(true).build().expect("epoll");
        runtime.block_on(async {
            let state = State::new(&Options {
                buffer_size: 1,
                max_connections: 1,
                timeouts: Timeouts::new(None, Some(LIMIT)),
                grace: LIMIT,
                shutdown: Shutdown::new(),
                failures: FailureLines::new(&Args::parse_from(["echo-server"])),
            });
            let (here, there) = std::os::unix::net::UnixStream::pair().expect("a pair");
            there.set_nonblocking(true).expect("an open socket");
            here.set_nonblocking(true).expect("an open socket");
            let stream = Stream::Unix(UnixStream::from_std(here).expect("it can be registered"));
            let accepted_by = Rc::new(AcceptedBy {
                local_addr: String::new(),
                state,
            });
            let peer = Rc::new(Connection::new(stream, Peer::Unix(None), accepted_by));
            peer.write(&[7; 1000]).await.expect("it is open");

            // Full of small pieces, each of which leaves room when it is taken. A few of them are
            // far from what the kernel reports.
            while peer.try_write(&[7; 1000]).expect("open") > 0 {}
            let slow = spawn_write(&peer);
            (&there).read_exact(&mut [0; 4000]).expect("it was full");
            yield_now().await;
            assert!(
                !slow.is_finished(),
                "an event, which this test is not about"
            );
            advance(LIMIT).await;
            slow.await.expect("no panic").expect("it took something");

            while peer.send_now(&[7; 1000]).expect("open") > 0 {}
            let stuck = spawn_write(&peer);
            yield_now().await;
            advance(LIMIT).await;
            let failed = stuck.await.expect("no panic").expect_err("nothing");
            assert_eq!(failed.error.kind(), ErrorKind::TimedOut);
        });
    }
}
