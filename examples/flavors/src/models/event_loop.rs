//! The model `event-loop`: one thread, epoll, and a state machine for each client.
//!
//! How it waits: in one epoll_wait(2) for all clients at once. No call on a socket blocks. The
//! state of a client is in its [`Client`] instead of on a stack, and [`Client::advance`] continues
//! from there:
//!
//! ```text
//!          +--> write the answer ----EAGAIN--> wait until writable --+
//!          |      | written                                          |
//!          +---- answer the next complete frame                      |
//!          |      | none                                             |
//!          +---- read ---------------EAGAIN--> wait until readable --+--> advance again
//!                 | end of input
//!                closed
//! ```
//!
//! Writes come before reads. While a client does not read its answers, its requests are not read,
//! so it costs the memory of one answer: the kernel's buffers fill up, and TCP stops the client.
//!
//! Level-triggered epoll reports a socket for as long as it is ready. A client with an unsent
//! answer would be reported repeatedly for input that is not read yet. So its interest is changed
//! with `EPOLL_CTL_MOD`. In exchange, one read per event is enough. Edge-triggered epoll reports
//! each change once. It never needs `MOD`, but every read and write has to be repeated until
//! `EAGAIN`, because no further event reports the rest of the input. That costs a recv(2) per
//! request.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::retry;
use crate::args::Trigger;
use crate::end::{ConnectionError, log_outcome};
use crate::protocol::Decoder;
use crate::serve::{ACCEPT_RETRY_DELAY, AcceptErrors, AfterAccept, SHUTDOWN_TIMEOUT, Settings};
use crate::store::{OneThread, Shared};

/// Id of the listener. Client ids count from 1 and are never reused, so an event for a client that
/// was removed earlier in the same batch never reaches another client.
const LISTENER: u64 = 0;
/// Maximum number of events per epoll_wait(2).
const MAX_EVENTS: usize = 256;
/// Maximum number of accepts, and of reads from one client, before other clients are served.
const MAX_PER_TURN: usize = 16;

/// Serves until SIGTERM.
pub(crate) fn serve(listener: &'static TcpListener, settings: Settings) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    // Level-triggered in both modes, so that clients left in the queue are reported again.
    epoll::add(
        &epoll,
        listener,
        EventData::new_u64(LISTENER),
        EventFlags::IN,
    )?;
    let mut server = Server {
        epoll,
        listener,
        settings,
        store: OneThread::default(),
        clients: HashMap::new(),
        accepted: LISTENER,
        accept_errors: AcceptErrors::default(),
        accept_again: None,
        unfinished: BTreeSet::new(),
        close_at: None,
    };
    let mut events = Vec::with_capacity(MAX_EVENTS);
    while server.is_running() {
        events.clear();
        let timeout = server.timeout()?;
        let unfinished = std::mem::take(&mut server.unfinished);
        match epoll::wait(&server.epoll, spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            // The event flags are not needed: the client's next read or write returns the data, the
            // end or the error, and data comes before the end.
            match event.data.u64() {
                LISTENER => server.on_listener()?,
                id => server.on_client(id),
            }
        }
        for id in unfinished {
            server.on_client(id);
        }
        server.on_deadlines()?;
    }
    Ok(())
}

struct Server {
    epoll: OwnedFd,
    listener: &'static TcpListener,
    settings: Settings,
    store: OneThread,
    clients: HashMap<u64, Client>,
    accepted: u64,
    accept_errors: AcceptErrors,
    /// Time of the next accept, while descriptors have run out and the listener is not watched.
    accept_again: Option<Instant>,
    /// Clients with unread input after their turn. Edge-triggered epoll does not report them again.
    unfinished: BTreeSet<u64>,
    /// Time at which all clients are closed, set by the shutdown.
    close_at: Option<Instant>,
}

impl Server {
    fn is_running(&self) -> bool {
        self.close_at.is_none() || !self.clients.is_empty()
    }

    /// Returns the timeout of epoll_wait(2): the time to the next deadline, or `None` for no limit.
    fn timeout(&self) -> io::Result<Option<Timespec>> {
        let until = [self.accept_again, self.close_at]
            .into_iter()
            .flatten()
            .min();
        let left = match until {
            _ if !self.unfinished.is_empty() => Some(Duration::ZERO),
            until => until.map(|time| time.saturating_duration_since(Instant::now())),
        };
        left.map(Timespec::try_from)
            .transpose()
            .map_err(io::Error::other)
    }

    fn on_deadlines(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if self.accept_again.is_some_and(|time| time <= now) {
            self.accept_again = None;
            self.watch_listener(EventFlags::IN)?;
        }
        if self.close_at.is_some_and(|time| time <= now) {
            self.clients.clear();
        }
        Ok(())
    }

    fn on_listener(&mut self) -> io::Result<()> {
        for _ in 0..MAX_PER_TURN {
            match accept(self.listener) {
                Ok((stream, peer)) => {
                    self.insert(stream, peer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => match self.accept_errors.handle(error)? {
                    AfterAccept::Continue => {}
                    AfterAccept::Retry => {
                        // Not watched until then, because it stays readable and would be reported
                        // repeatedly.
                        self.accept_again = Some(Instant::now() + ACCEPT_RETRY_DELAY);
                        return self.watch_listener(EventFlags::empty());
                    }
                    AfterAccept::Stop => return self.shut_down(),
                },
            }
        }
        Ok(())
    }

    fn watch_listener(&self, interest: EventFlags) -> io::Result<()> {
        let data = EventData::new_u64(LISTENER);
        Ok(epoll::modify(&self.epoll, self.listener, data, interest)?)
    }

    fn insert(&mut self, stream: TcpStream, peer: SocketAddr) {
        self.accepted += 1;
        let id = self.accepted;
        let interest = match self.settings.trigger {
            Trigger::Level => Wait::Readable.interest(),
            Trigger::Edge => EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET,
        };
        match epoll::add(&self.epoll, &stream, EventData::new_u64(id), interest) {
            Ok(()) => {
                let client = Client::new(stream, peer, self.settings);
                self.clients.insert(id, client);
            }
            Err(error) => log_outcome(peer, &Err(ConnectionError::Io("epoll_ctl", error.into()))),
        }
    }

    fn on_client(&mut self, id: u64) {
        let Some(client) = self.clients.get_mut(&id) else {
            return; // removed earlier in this batch
        };
        let outcome = client
            .advance(&self.store)
            .and_then(|wait| client.wait_for(wait, id, &self.epoll).map(|()| wait));
        match outcome {
            Ok(Wait::Readable | Wait::Writable) => {}
            Ok(Wait::Turn) => {
                self.unfinished.insert(id);
            }
            Ok(Wait::Closed) => self.remove(id, &Ok(())),
            Err(error) => self.remove(id, &Err(error)),
        }
    }

    fn remove(&mut self, id: u64, outcome: &Result<(), ConnectionError>) {
        // Closing the descriptor removes it from epoll.
        if let Some(client) = self.clients.remove(&id) {
            log_outcome(client.peer, outcome);
        }
    }

    /// Ends the input of all clients. Those that are still open after the timeout are closed.
    fn shut_down(&mut self) -> io::Result<()> {
        for client in self.clients.values() {
            // An error means that the connection has ended already.
            client.stream.shutdown(Shutdown::Read).ok();
        }
        self.close_at = Some(Instant::now() + SHUTDOWN_TIMEOUT);
        self.accept_again = None;
        Ok(epoll::delete(&self.epoll, self.listener)?)
    }
}

fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept()?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok((stream, peer))
}

/// Event that a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
enum Wait {
    Readable,
    Writable,
    /// The next turn, after those of other clients.
    Turn,
    /// No event: the client has disconnected.
    Closed,
}

impl Wait {
    fn interest(self) -> EventFlags {
        match self {
            Wait::Writable => EventFlags::OUT,
            _ => EventFlags::IN,
        }
    }
}

/// State of a client.
struct Client {
    stream: TcpStream,
    peer: SocketAddr,
    trigger: Trigger,
    decoder: Decoder,
    /// The answer to be sent. Empty if there is none.
    answer: Vec<u8>,
    /// Number of bytes of `answer` that have been sent.
    sent: usize,
    /// Interest registered with epoll, if level-triggered.
    registered: Wait,
}

impl Client {
    fn new(stream: TcpStream, peer: SocketAddr, settings: Settings) -> Client {
        Client {
            stream,
            peer,
            trigger: settings.trigger,
            decoder: Decoder::new(settings.max_frame),
            answer: Vec::new(),
            sent: 0,
            registered: Wait::Readable,
        }
    }

    /// Serves the client until it has to wait, and returns the event to wait for.
    fn advance(&mut self, store: &impl Shared) -> Result<Wait, ConnectionError> {
        for reads in 0.. {
            if !write(self).map_err(ConnectionError::io("send"))? {
                return Ok(Wait::Writable);
            }
            while let Some(request) = self.decoder.next_request()? {
                self.answer = store.answer(request).to_frame();
                self.sent = 0;
                if !write(self).map_err(ConnectionError::io("send"))? {
                    return Ok(Wait::Writable);
                }
            }
            self.answer = Vec::new();
            self.sent = 0;
            match self.trigger {
                // Epoll reports remaining input again.
                Trigger::Level if reads == 1 => return Ok(Wait::Readable),
                Trigger::Edge if reads == MAX_PER_TURN => return Ok(Wait::Turn),
                _ => {}
            }
            match read(self) {
                Ok(0) => return Ok(self.decoder.finish().map(|()| Wait::Closed)?),
                Ok(n) => self.decoder.filled(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Wait::Readable);
                }
                Err(error) => return Err(ConnectionError::Io("recv", error)),
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// Changes the registered interest, if it is level-triggered and differs.
    fn wait_for(&mut self, wait: Wait, id: u64, epoll: &OwnedFd) -> Result<(), ConnectionError> {
        let is_registered = self.trigger == Trigger::Edge || wait == self.registered;
        if is_registered || wait == Wait::Closed {
            return Ok(());
        }
        self.registered = wait;
        epoll::modify(epoll, &self.stream, EventData::new_u64(id), wait.interest())
            .map_err(|error| ConnectionError::Io("epoll_ctl", error.into()))
    }
}

fn read(client: &mut Client) -> io::Result<usize> {
    retry(|| client.stream.read(client.decoder.room()))
}

/// Writes the rest of the answer. Returns `false` if the socket is not writable.
fn write(client: &mut Client) -> io::Result<bool> {
    while client.sent < client.answer.len() {
        match retry(|| client.stream.write(&client.answer[client.sent..])) {
            Ok(n) => client.sent += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
