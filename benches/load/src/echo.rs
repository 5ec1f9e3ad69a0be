//! Messages over a fixed set of connections: each keeps `depth` messages on the way, and sends the
//! next one as soon as one has come back.
//!
//! ```text
//!      open      warm up          measure            drain
//!  ---------|--------------|===================|--------------> report
//!           all send       count and time      nobody sends any more;
//!                          what comes back     the rest must come back
//! ```
//!
//! With `--messages` all of them are measured, and there is neither warm-up nor a time: this is for
//! counting system calls and instructions.
//!
//! One clock reading per event serves all messages that it completed. A message's time runs from
//! when it was allowed to go (not from when the kernel took it) to its last byte.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bench_load::{Echo, Plan, Report};
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

use crate::open::open;
use crate::pattern::{LONGEST, Pattern};
use crate::times::Times;
use crate::watch::Moment;
use crate::{PATIENCE, misbehaved};

const EVENTS: usize = 1024;

/// One connection.
struct Client {
    number: usize,
    stream: TcpStream,
    /// When each message that is on the way was allowed to go, oldest first.
    on_the_way: VecDeque<Instant>,
    /// Bytes that the kernel has taken; bytes that it may be given in all; bytes that came back.
    sent: u64,
    allowed: u64,
    received: u64,
    /// Bytes that had come back when the oldest message on the way began.
    boundary: u64,
    /// Whether the kernel is to tell when it takes bytes again.
    wants_room: bool,
}

/// Opens the connections and measures, once or, with `--on-request`, as often as it is asked to;
/// every report goes to `tell`.
pub(crate) fn run(
    plan: &Plan,
    echo: &Echo,
    mut tell: impl FnMut(&Report) -> io::Result<()>,
) -> io::Result<()> {
    let pattern = Pattern::new();
    let size = echo.size as usize;
    let (active, idle) = (echo.clients as usize, echo.idle as usize);
    // The first message of each is a short one, so that opening is quick whatever the size.
    let first = size.min(64);
    let at_rest = open(plan.server, &pattern, active, idle, first, PATIENCE)?;
    let streams = open(plan.server, &pattern, 0, active, first, PATIENCE)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut clients = Vec::with_capacity(active);
    for (number, stream) in streams.into_iter().enumerate() {
        epoll::add(
            &epoll,
            &stream,
            EventData::new_u64(number as u64),
            EventFlags::IN,
        )?;
        clients.push(Client {
            number,
            stream,
            on_the_way: VecDeque::with_capacity(echo.depth as usize),
            sent: first as u64,
            allowed: first as u64,
            received: first as u64,
            boundary: first as u64,
            wants_room: false,
        });
    }
    let mut load = Load {
        pattern,
        size: size as u64,
        epoll,
        buffer: vec![0; LONGEST],
        left: 0,
        on_the_way: 0,
        answered: 0,
        measuring: false,
        times: Times::new(),
        count: 0,
    };
    let mut measure = || {
        load.begin(echo);
        let mut report = load.exchange(&mut clients, plan.pid, echo)?;
        load.times.report(&mut report);
        report.count = load.count;
        report.idle = at_rest.len() as u64;
        tell(&report)
    };
    if !echo.on_request {
        return measure();
    }
    for request in io::stdin().lines() {
        request?;
        measure()?;
    }
    Ok(())
}

/// What all clients share.
struct Load {
    pattern: Pattern,
    size: u64,
    epoll: std::os::fd::OwnedFd,
    buffer: Vec<u8>,
    /// How many messages may still begin.
    left: u64,
    /// How many messages are on the way, over all clients.
    on_the_way: u64,
    /// How many messages have come back, measured or not.
    answered: u64,
    /// Whether what comes back is counted now.
    measuring: bool,
    times: Times,
    count: u64,
}

impl Load {
    /// Forgets the last measurement. Nothing is on the way then.
    fn begin(&mut self, echo: &Echo) {
        self.left = echo.messages.unwrap_or(u64::MAX);
        (self.answered, self.count, self.times) = (0, 0, Times::new());
    }

    fn exchange(
        &mut self,
        clients: &mut [Client],
        server: Option<u32>,
        echo: &Echo,
    ) -> io::Result<Report> {
        let mut report = Report::default();
        // With a fixed number of messages the count ends the measurement, not the clock.
        let (warm_up, window) = match echo.messages {
            Some(_) => (Duration::ZERO, Duration::MAX),
            None => (
                Duration::from_millis(echo.warm_up),
                Duration::from_millis(echo.millis),
            ),
        };
        let mut start = Moment::now(server)?;
        let begun = Instant::now();
        let mut measured_from = begun;
        self.measuring = warm_up.is_zero();
        let at_once = u64::from(echo.clients) * u64::from(echo.depth);
        let mut ended = false;
        // One message each, then the rest of the depth: as in a real beginning.
        for client in clients.iter_mut() {
            for _ in 0..echo.depth {
                self.allow(client, begun);
            }
            self.send(client)?;
        }
        let mut events = vec![MaybeUninit::<epoll::Event>::uninit(); EVENTS];
        let patience = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
        while self.on_the_way > 0 {
            let (ready, _) = epoll::wait(&self.epoll, &mut events[..], Some(&patience))?;
            if ready.is_empty() {
                return Err(misbehaved("has not sent anything back for a long time"));
            }
            let now = Instant::now();
            // Warm is who has had the time, and has seen as many messages as are on the way at once:
            // with thousands of large ones that takes longer.
            let warm = now - begun >= warm_up && self.answered >= at_once;
            if !self.measuring && !ended && warm {
                self.measuring = true;
                start = Moment::now(server)?;
                measured_from = now;
            }
            if self.measuring && now - measured_from >= window {
                start.until(&Moment::now(server)?, &mut report);
                (self.measuring, self.left, ended) = (false, 0, true);
            }
            for event in ready.iter() {
                // Copied out of the packed struct before they are looked at.
                let (data, flags) = (event.data, event.flags);
                let client = &mut clients[data.u64() as usize];
                if flags.intersects(!EventFlags::OUT) {
                    self.receive(client)?;
                }
                self.send(client)?;
            }
        }
        if !ended {
            start.until(&Moment::now(server)?, &mut report);
        }
        Ok(report)
    }

    /// Lets the client begin one more message, if there is one left.
    fn allow(&mut self, client: &mut Client, now: Instant) {
        if self.left > 0 {
            self.left -= 1;
            self.on_the_way += 1;
            client.on_the_way.push_back(now);
            client.allowed += self.size;
        }
    }

    fn receive(&mut self, client: &mut Client) -> io::Result<()> {
        let length = match (&client.stream).read(&mut self.buffer) {
            Ok(0) => return Err(misbehaved("ended a connection")),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        let sent = self.pattern.piece(client.number, client.received, length);
        if self.buffer[..length] != *sent {
            return Err(misbehaved("sent back other bytes than it was sent"));
        }
        client.received += length as u64;
        if client.received > client.sent {
            return Err(misbehaved("sent back more than it was sent"));
        }
        while client.received >= client.boundary + self.size {
            client.boundary += self.size;
            let Some(begun) = client.on_the_way.pop_front() else {
                return Err(misbehaved("answered a message that was never sent"));
            };
            self.on_the_way -= 1;
            self.answered += 1;
            if self.measuring {
                self.times.add(now - begun);
                self.count += 1;
            }
            self.allow(client, now);
        }
        Ok(())
    }

    fn send(&mut self, client: &mut Client) -> io::Result<()> {
        while client.sent < client.allowed {
            let due = (client.allowed - client.sent) as usize;
            let bytes = self.pattern.piece(client.number, client.sent, due);
            match (&client.stream).write(bytes) {
                Ok(taken) => client.sent += taken as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let wants_room = client.sent < client.allowed;
        if wants_room != client.wants_room {
            client.wants_room = wants_room;
            let mut interest = EventFlags::IN;
            interest.set(EventFlags::OUT, wants_room);
            let token = EventData::new_u64(client.number as u64);
            epoll::modify(&self.epoll, &client.stream, token, interest)?;
        }
        Ok(())
    }
}
