//! The model `completion`: one thread, io_uring, and a state machine for each client.
//!
//! How it waits: in one io_uring_enter(2), for the completion of any started operation. Where
//! `event_loop` waits until a socket is readable and then reads, this model starts a receive into a
//! buffer and waits until it has completed, as with Windows' completion ports. The consequences:
//!
//! - The kernel owns a buffer while its operation is in flight.
//! - Each client needs a buffer of its own, even while it is idle.
//! - A client with an operation in flight cannot be dropped; its socket is shut down first.
//!
//! ```text
//!          +--> answer the next frame --> start a send --> ... sent: start the rest, or
//!          |      | none                                              |
//!          +------|---------------------------------------------------+
//!          |    start a receive --> ... received: into the decoder
//!          |                               | end of input
//!          +-------------------------------+  closed
//! ```
//!
//! A client has exactly one operation in flight, a receive or a send. While a client does not read
//! its answers, its requests are therefore not read, and it costs the memory of one answer.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::end::{ConnectionError, log, log_outcome};
use crate::protocol::Decoder;
use crate::serve::{ACCEPT_RETRY_DELAY, AcceptErrors, AfterAccept, SHUTDOWN_TIMEOUT, Settings};
use crate::store::{OneThread, Shared};
use crate::sys::uring::{Completion, Ring};

/// Serves until SIGTERM.
pub(crate) fn serve(
    listener: &'static TcpListener,
    settings: Settings,
    ring: Ring,
) -> io::Result<()> {
    let mut server = Server {
        ring,
        listener,
        settings,
        store: OneThread::default(),
        clients: HashMap::new(),
        accepted: 0,
        accept_errors: AcceptErrors::default(),
        accept_again: None,
        close_at: None,
    };
    server.ring.accept(listener)?;
    while server.is_running() {
        let timeout = server.timeout();
        server.ring.wait(timeout)?;
        while let Some(completion) = server.ring.next() {
            match completion {
                Completion::Accepted(outcome) => server.on_accepted(outcome)?,
                Completion::Received(id, buffer, outcome) => {
                    server.on_client(id, |client| client.on_received(buffer, outcome));
                }
                Completion::Sent(id, buffer, outcome) => {
                    server.on_client(id, |client| client.on_sent(buffer, outcome));
                }
            }
        }
        server.on_deadlines()?;
    }
    Ok(())
}

struct Server {
    ring: Ring,
    listener: &'static TcpListener,
    settings: Settings,
    store: OneThread,
    clients: HashMap<u64, Client>,
    accepted: u64,
    accept_errors: AcceptErrors,
    /// Time of the next accept, while descriptors have run out and no accept is in flight.
    accept_again: Option<Instant>,
    /// Time at which all clients are closed, set by the shutdown.
    close_at: Option<Instant>,
}

impl Server {
    fn is_running(&self) -> bool {
        self.close_at.is_none() || !self.ring.is_idle()
    }

    /// Returns the timeout of the wait: the time to the next deadline, or `None` for no limit.
    fn timeout(&self) -> Option<Duration> {
        let until = [self.accept_again, self.close_at]
            .into_iter()
            .flatten()
            .min();
        until.map(|time| time.saturating_duration_since(Instant::now()))
    }

    fn on_deadlines(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if self.accept_again.is_some_and(|time| time <= now) {
            self.accept_again = None;
            self.ring.accept(self.listener)?;
        }
        if self.close_at.is_some_and(|time| time <= now) {
            self.shut_down_all(Shutdown::Both);
            // Each operation in flight completes with an error, and then the loop ends.
            self.close_at = Some(now + ACCEPT_RETRY_DELAY);
        }
        Ok(())
    }

    fn on_accepted(&mut self, outcome: io::Result<TcpStream>) -> io::Result<()> {
        match outcome.map(accept) {
            Ok(Ok((stream, peer))) => {
                self.insert(stream, peer);
            }
            // The client has disconnected already.
            Ok(Err(error)) => log(format_args!("accept: {error}; closed")),
            Err(error) => match self.accept_errors.handle(error)? {
                AfterAccept::Continue => {}
                AfterAccept::Retry => {
                    self.accept_again = Some(Instant::now() + ACCEPT_RETRY_DELAY);
                    return Ok(());
                }
                AfterAccept::Stop => {
                    self.shut_down();
                    return Ok(());
                }
            },
        }
        self.ring.accept(self.listener)
    }

    fn insert(&mut self, stream: TcpStream, peer: SocketAddr) {
        self.accepted += 1;
        let id = self.accepted;
        let client = Client::new(stream, peer, self.settings);
        self.clients.insert(id, client);
        self.on_client(id, |_| Ok(()));
    }

    /// Applies `update`, the result of the client's last operation, and starts its next operation.
    fn on_client(
        &mut self,
        id: u64,
        update: impl FnOnce(&mut Client) -> Result<(), ConnectionError>,
    ) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let outcome = update(client).and_then(|()| client.advance(id, &self.store, &mut self.ring));
        match outcome {
            Ok(Wait::Operation) => {}
            Ok(Wait::Closed) => self.remove(id, &Ok(())),
            Err(error) => self.remove(id, &Err(error)),
        }
    }

    fn remove(&mut self, id: u64, outcome: &Result<(), ConnectionError>) {
        if let Some(client) = self.clients.remove(&id) {
            log_outcome(client.peer, outcome);
        }
    }

    /// Ends the input of all clients. Those that are still open after the timeout are closed.
    fn shut_down(&mut self) {
        self.shut_down_all(Shutdown::Read);
        self.close_at = Some(Instant::now() + SHUTDOWN_TIMEOUT);
    }

    fn shut_down_all(&self, how: Shutdown) {
        for client in self.clients.values() {
            // An error means that the connection has ended already.
            client.stream.shutdown(how).ok();
        }
    }
}

fn accept(stream: TcpStream) -> io::Result<(TcpStream, SocketAddr)> {
    let peer = stream.peer_addr()?;
    stream.set_nodelay(true)?;
    Ok((stream, peer))
}

/// Event that a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
enum Wait {
    /// The completion of its operation in flight.
    Operation,
    /// No event: the client has disconnected.
    Closed,
}

/// State of a client.
struct Client {
    /// Shared with the operation in flight, so that its descriptor number is not reused until it completes.
    stream: Rc<TcpStream>,
    peer: SocketAddr,
    decoder: Decoder,
    /// The answer to be sent. Empty if there is none, and while the kernel owns its bytes.
    answer: Vec<u8>,
    /// Number of bytes of the answer that have been sent.
    sent: usize,
    /// Whether the end of input was received.
    input_ended: bool,
}

impl Client {
    fn new(stream: TcpStream, peer: SocketAddr, settings: Settings) -> Client {
        Client {
            stream: Rc::new(stream),
            peer,
            decoder: Decoder::new(settings.max_frame),
            answer: Vec::new(),
            sent: 0,
            input_ended: false,
        }
    }

    /// Starts the next operation of the client.
    fn advance(
        &mut self,
        id: u64,
        store: &impl Shared,
        ring: &mut Ring,
    ) -> Result<Wait, ConnectionError> {
        if self.sent == self.answer.len() {
            self.answer = Vec::new();
            self.sent = 0;
            if let Some(request) = self.decoder.next_request()? {
                self.answer = store.answer(request).to_frame();
            }
        }
        if !self.answer.is_empty() {
            let answer = std::mem::take(&mut self.answer);
            ring.send(id, &self.stream, answer, self.sent)
                .map_err(ConnectionError::io("io_uring send"))?;
            return Ok(Wait::Operation);
        }
        if self.input_ended {
            return Ok(self.decoder.finish().map(|()| Wait::Closed)?);
        }
        let (room, from) = self.decoder.lend();
        ring.receive(id, &self.stream, room, from)
            .map_err(ConnectionError::io("io_uring recv"))?;
        Ok(Wait::Operation)
    }

    fn on_received(
        &mut self,
        room: Vec<u8>,
        outcome: io::Result<usize>,
    ) -> Result<(), ConnectionError> {
        self.decoder.take_back(room);
        match none_if_interrupted(outcome).map_err(ConnectionError::io("recv"))? {
            Some(0) => self.input_ended = true,
            Some(n) => self.decoder.filled(n),
            None => {}
        }
        Ok(())
    }

    fn on_sent(
        &mut self,
        answer: Vec<u8>,
        outcome: io::Result<usize>,
    ) -> Result<(), ConnectionError> {
        self.answer = answer;
        if let Some(n) = none_if_interrupted(outcome).map_err(ConnectionError::io("send"))? {
            self.sent += n;
        }
        Ok(())
    }
}

/// Returns `None` if a signal interrupted the operation, which then has to be started again.
fn none_if_interrupted(outcome: io::Result<usize>) -> io::Result<Option<usize>> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        outcome => outcome.map(Some),
    }
}
