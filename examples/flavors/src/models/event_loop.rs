//! The model `event-loop`: one thread, epoll, and a state machine for each client.
//!
//! How it waits: in one epoll_wait(2) for all clients at once. No call on a socket blocks; what a
//! client was in the middle of stands in its [`Client`], not on a stack, and [`Client::advance`] goes on
//! from there:
//!
//! ```text
//!          +--> write what is owed --EAGAIN--> wait until writable --+
//!          |      | nothing owed                                     |
//!          +---- answer the next whole frame                         |
//!          |      | none                                             |
//!          +---- read ---------------EAGAIN--> wait until readable --+--> advance again
//!                 | end of input
//!                closed
//! ```
//!
//! It writes before it reads: a client that does not take its answers is not read from, so that it
//! costs one answer of memory and no more (the kernel's buffers fill up, and then TCP stops the client).
//!
//! Level-triggered, epoll reports a socket for as long as it is ready. A client that owes us the
//! reading of an answer would be reported for the input that we do not want yet, again and again, so its
//! interest is changed with `EPOLL_CTL_MOD`; in exchange one read per event is enough. Edge-triggered,
//! epoll reports each change once: no `MOD` ever, but every read and write has to go on until `EAGAIN`,
//! or the rest of the input lies there with nobody told. That costs a recv(2) per request.

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
use crate::end::{Broken, report};
use crate::protocol::Decoder;
use crate::serve::{Accepting, AfterAccept, GRACE, PAUSE, Settings};
use crate::store::{OneThread, Shared};

/// The listener's number. Clients count from 1, and no number is ever used again: an event for a
/// client that left earlier in the same batch finds nobody, and never a stranger.
const LISTENER: u64 = 0;
/// Events per epoll_wait(2).
const EVENTS: usize = 256;
/// Clients accepted, and reads from one client, before others have a turn.
const TURN: usize = 16;

/// Serves until SIGTERM.
pub(crate) fn serve(listener: &'static TcpListener, settings: Settings) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    // Level-triggered in both modes: what one turn leaves in the queue is reported again.
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
        accepting: Accepting::default(),
        accept_again: None,
        unfinished: BTreeSet::new(),
        cut_off: None,
    };
    let mut events = Vec::with_capacity(EVENTS);
    while server.goes_on() {
        events.clear();
        let timeout = server.timeout()?;
        let unfinished = std::mem::take(&mut server.unfinished);
        match epoll::wait(&server.epoll, spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            // What happened (input, room, a hang-up, an error) need not be told apart: the client's
            // next read or write says it, and input comes before the end.
            match event.data.u64() {
                LISTENER => server.on_listener()?,
                id => server.on_client(id),
            }
        }
        for id in unfinished {
            server.on_client(id);
        }
        server.on_time()?;
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
    accepting: Accepting,
    /// When to accept again, while descriptors have run out and the listener is not watched.
    accept_again: Option<Instant>,
    /// Clients that had their turn and have more to read (edge-triggered: nobody will tell again).
    unfinished: BTreeSet<u64>,
    /// When the last clients are cut off, once the end has been asked for.
    cut_off: Option<Instant>,
}

impl Server {
    fn goes_on(&self) -> bool {
        self.cut_off.is_none() || !self.clients.is_empty()
    }

    /// How long epoll_wait(2) may take: for ever, unless there is something to do at some time.
    fn timeout(&self) -> io::Result<Option<Timespec>> {
        let until = [self.accept_again, self.cut_off]
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

    fn on_time(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if self.accept_again.is_some_and(|time| time <= now) {
            self.accept_again = None;
            self.watch_listener(EventFlags::IN)?;
        }
        if self.cut_off.is_some_and(|time| time <= now) {
            self.clients.clear();
        }
        Ok(())
    }

    fn on_listener(&mut self) -> io::Result<()> {
        for _ in 0..TURN {
            match accept(self.listener) {
                Ok((stream, peer)) => {
                    self.enter(stream, peer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => match self.accepting.failed(error)? {
                    AfterAccept::Next => {}
                    AfterAccept::Pause => {
                        // The listener stays readable: watched on, it would be reported for ever.
                        self.accept_again = Some(Instant::now() + PAUSE);
                        return self.watch_listener(EventFlags::empty());
                    }
                    AfterAccept::Stop => return self.stop(),
                },
            }
        }
        Ok(())
    }

    fn watch_listener(&self, interest: EventFlags) -> io::Result<()> {
        let data = EventData::new_u64(LISTENER);
        Ok(epoll::modify(&self.epoll, self.listener, data, interest)?)
    }

    fn enter(&mut self, stream: TcpStream, peer: SocketAddr) {
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
            Err(error) => report(peer, &Err(Broken::Io("epoll_ctl", error.into()))),
        }
    }

    fn on_client(&mut self, id: u64) {
        let Some(client) = self.clients.get_mut(&id) else {
            return; // it left earlier in this batch
        };
        let outcome = client
            .advance(&self.store)
            .and_then(|wait| client.wait_for(wait, id, &self.epoll).map(|()| wait));
        match outcome {
            Ok(Wait::Readable | Wait::Writable) => {}
            Ok(Wait::Turn) => {
                self.unfinished.insert(id);
            }
            Ok(Wait::Nothing) => self.leave(id, &Ok(())),
            Err(broken) => self.leave(id, &Err(broken)),
        }
    }

    fn leave(&mut self, id: u64, outcome: &Result<(), Broken>) {
        // Closing the descriptor takes it out of epoll.
        if let Some(client) = self.clients.remove(&id) {
            report(client.peer, outcome);
        }
    }

    /// Ends everybody's input; who then does not take the answers is cut off after the grace.
    fn stop(&mut self) -> io::Result<()> {
        for client in self.clients.values() {
            // An error says that it has ended already.
            client.stream.shutdown(Shutdown::Read).ok();
        }
        self.cut_off = Some(Instant::now() + GRACE);
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

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
enum Wait {
    Readable,
    Writable,
    /// For the others to have had theirs.
    Turn,
    /// It has left.
    Nothing,
}

impl Wait {
    fn interest(self) -> EventFlags {
        match self {
            Wait::Writable => EventFlags::OUT,
            _ => EventFlags::IN,
        }
    }
}

/// What a client was in the middle of.
struct Client {
    stream: TcpStream,
    peer: SocketAddr,
    trigger: Trigger,
    decoder: Decoder,
    /// The answer that is on its way, and how much of it has gone.
    answer: Vec<u8>,
    sent: usize,
    /// What epoll was last told, level-triggered.
    watched_for: Wait,
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
            watched_for: Wait::Readable,
        }
    }

    /// Goes on until something has to be waited for.
    fn advance(&mut self, store: &impl Shared) -> Result<Wait, Broken> {
        for reads in 0.. {
            if !write(self).map_err(Broken::during("send"))? {
                return Ok(Wait::Writable);
            }
            while let Some(request) = self.decoder.next_request()? {
                self.answer = store.answer(request).to_frame();
                self.sent = 0;
                if !write(self).map_err(Broken::during("send"))? {
                    return Ok(Wait::Writable);
                }
            }
            self.answer = Vec::new();
            self.sent = 0;
            match self.trigger {
                // Whatever is left is reported again.
                Trigger::Level if reads == 1 => return Ok(Wait::Readable),
                Trigger::Edge if reads == TURN => return Ok(Wait::Turn),
                _ => {}
            }
            match read(self) {
                Ok(0) => return Ok(self.decoder.finish().map(|()| Wait::Nothing)?),
                Ok(n) => self.decoder.filled(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Wait::Readable);
                }
                Err(error) => return Err(Broken::Io("recv", error)),
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// Tells epoll, where it does not know.
    fn wait_for(&mut self, wait: Wait, id: u64, epoll: &OwnedFd) -> Result<(), Broken> {
        let known = self.trigger == Trigger::Edge || wait == self.watched_for;
        if known || wait == Wait::Nothing {
            return Ok(());
        }
        self.watched_for = wait;
        epoll::modify(epoll, &self.stream, EventData::new_u64(id), wait.interest())
            .map_err(|error| Broken::Io("epoll_ctl", error.into()))
    }
}

fn read(client: &mut Client) -> io::Result<usize> {
    retry(|| client.stream.read(client.decoder.room()))
}

/// Whether all has gone.
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
