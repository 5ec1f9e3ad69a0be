//! The model `completion`: one thread, io_uring, and a record for each client.
//!
//! How it waits: in one io_uring_enter(2), for the end of whatever it has started. Where `event_loop` is
//! told "you can read now" and reads, this says "read into this buffer" and is told "it is in there": the
//! shape of Windows' completion ports. So a buffer belongs to the kernel while an operation is in flight,
//! each client needs one of its own even while it is silent, and a client whose operation is in flight
//! cannot be forgotten, only told to end.
//!
//! ```text
//!          +--> answer the next whole frame --> start a send --> ... sent: start the rest, or
//!          |      | none                                              |
//!          +------|---------------------------------------------------+
//!          |    start a receive --> ... received: into the decoder
//!          |                               | end of input
//!          +-------------------------------+  closed
//! ```
//!
//! A client has exactly one operation in flight, either way. So a client that does not take its answers
//! is not read from, and costs one answer of memory and no more.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::end::{Broken, log, report};
use crate::protocol::Decoder;
use crate::serve::{Accepting, AfterAccept, GRACE, PAUSE, Settings};
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
        accepting: Accepting::default(),
        accept_again: None,
        cut_off: None,
    };
    server.ring.accept(listener)?;
    while server.goes_on() {
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
        server.on_time()?;
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
    accepting: Accepting,
    /// When to accept again, while descriptors have run out and no accept is in flight.
    accept_again: Option<Instant>,
    /// When the last clients are cut off, once the end has been asked for.
    cut_off: Option<Instant>,
}

impl Server {
    fn goes_on(&self) -> bool {
        self.cut_off.is_none() || !self.ring.is_idle()
    }

    /// How long the wait may take: for ever, unless there is something to do at some time.
    fn timeout(&self) -> Option<Duration> {
        let until = [self.accept_again, self.cut_off]
            .into_iter()
            .flatten()
            .min();
        until.map(|time| time.saturating_duration_since(Instant::now()))
    }

    fn on_time(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if self.accept_again.is_some_and(|time| time <= now) {
            self.accept_again = None;
            self.ring.accept(self.listener)?;
        }
        if self.cut_off.is_some_and(|time| time <= now) {
            self.end_all(Shutdown::Both);
            // The kernel gives each buffer back, with an error, and so the loop ends.
            self.cut_off = Some(now + PAUSE);
        }
        Ok(())
    }

    fn on_accepted(&mut self, outcome: io::Result<TcpStream>) -> io::Result<()> {
        match outcome.map(accept) {
            Ok(Ok((stream, peer))) => {
                self.enter(stream, peer);
            }
            // It left while it came.
            Ok(Err(error)) => log(format_args!("accept: {error}; closed")),
            Err(error) => match self.accepting.failed(error)? {
                AfterAccept::Next => {}
                AfterAccept::Pause => {
                    self.accept_again = Some(Instant::now() + PAUSE);
                    return Ok(());
                }
                AfterAccept::Stop => {
                    self.stop();
                    return Ok(());
                }
            },
        }
        self.ring.accept(self.listener)
    }

    fn enter(&mut self, stream: TcpStream, peer: SocketAddr) {
        self.accepted += 1;
        let id = self.accepted;
        let client = Client::new(stream, peer, self.settings);
        self.clients.insert(id, client);
        self.on_client(id, |_| Ok(()));
    }

    /// One operation of the client's has ended (or it has just come): starts the next.
    fn on_client(&mut self, id: u64, took: impl FnOnce(&mut Client) -> Result<(), Broken>) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let outcome = took(client).and_then(|()| client.advance(id, &self.store, &mut self.ring));
        match outcome {
            Ok(Wait::Operation) => {}
            Ok(Wait::Nothing) => self.leave(id, &Ok(())),
            Err(broken) => self.leave(id, &Err(broken)),
        }
    }

    fn leave(&mut self, id: u64, outcome: &Result<(), Broken>) {
        if let Some(client) = self.clients.remove(&id) {
            report(client.peer, outcome);
        }
    }

    /// Ends everybody's input; who then does not take the answers is cut off after the grace.
    fn stop(&mut self) {
        self.end_all(Shutdown::Read);
        self.cut_off = Some(Instant::now() + GRACE);
    }

    fn end_all(&self, how: Shutdown) {
        for client in self.clients.values() {
            // An error says that it has ended already.
            client.stream.shutdown(how).ok();
        }
    }
}

fn accept(stream: TcpStream) -> io::Result<(TcpStream, SocketAddr)> {
    let peer = stream.peer_addr()?;
    stream.set_nodelay(true)?;
    Ok((stream, peer))
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
enum Wait {
    /// The end of what has been started for it.
    Operation,
    /// It has left.
    Nothing,
}

/// What a client was in the middle of.
struct Client {
    /// Shared with the operation in flight, which must not meet another socket under its number.
    stream: Rc<TcpStream>,
    peer: SocketAddr,
    decoder: Decoder,
    /// The answer that is on its way, and how much of it has gone; while an operation is in flight
    /// the kernel has the bytes.
    answer: Vec<u8>,
    sent: usize,
    has_finished: bool,
}

impl Client {
    fn new(stream: TcpStream, peer: SocketAddr, settings: Settings) -> Client {
        Client {
            stream: Rc::new(stream),
            peer,
            decoder: Decoder::new(settings.max_frame),
            answer: Vec::new(),
            sent: 0,
            has_finished: false,
        }
    }

    /// Starts the next operation.
    fn advance(&mut self, id: u64, store: &impl Shared, ring: &mut Ring) -> Result<Wait, Broken> {
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
                .map_err(Broken::during("io_uring send"))?;
            return Ok(Wait::Operation);
        }
        if self.has_finished {
            return Ok(self.decoder.finish().map(|()| Wait::Nothing)?);
        }
        let (room, from) = self.decoder.lend();
        ring.receive(id, &self.stream, room, from)
            .map_err(Broken::during("io_uring recv"))?;
        Ok(Wait::Operation)
    }

    fn on_received(&mut self, room: Vec<u8>, outcome: io::Result<usize>) -> Result<(), Broken> {
        self.decoder.take_back(room);
        match again(outcome).map_err(Broken::during("recv"))? {
            Some(0) => self.has_finished = true,
            Some(n) => self.decoder.filled(n),
            None => {}
        }
        Ok(())
    }

    fn on_sent(&mut self, answer: Vec<u8>, outcome: io::Result<usize>) -> Result<(), Broken> {
        self.answer = answer;
        if let Some(n) = again(outcome).map_err(Broken::during("send"))? {
            self.sent += n;
        }
        Ok(())
    }
}

/// `None` is to start the operation once more: a signal came in between.
fn again(outcome: io::Result<usize>) -> io::Result<Option<usize>> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        outcome => outcome.map(Some),
    }
}
