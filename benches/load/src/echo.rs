//! Messages over a fixed set of connections: each keeps `depth` messages on the way, and sends the
//! next one as soon as one has come back.
//!
//! ```text
//!      open      warm up    drain        measure       drain
//!  ---------|------------|~~~~~~~~~|===============|~~~~~~~~~> report
//!           all send      the rest  all send        the rest
//!                         comes back                comes back
//! ```
//!
//! A measurement begins and ends with nothing on the way: what it counts was sent, answered and received
//! within, and so was the work of both sides. Between two moments in full flight, the server would have
//! worked for messages that come back later, and not for some that come back at first; with thousands
//! on the way these are as many as come back in the whole time.
//!
//! With `--messages` their number ends the measurement instead of a time, and there is no warm-up: this
//! is for counting system calls and instructions.
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
        measuring: false,
        times: Times::new(),
        count: 0,
    };
    let mut so_far = Busy::default();
    let mut measure = || {
        let mut report = load.measure(&mut clients, plan.pid, echo)?;
        load.times.report(&mut report);
        so_far.add(&mut report);
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

/// How busy both sides have been, over all measurements so far.
#[derive(Default)]
struct Busy {
    seconds: f64,
    server: f64,
    load: f64,
}

impl Busy {
    /// Takes one measurement in, and writes to its report what has come out by now.
    fn add(&mut self, report: &mut Report) {
        self.seconds += report.seconds;
        self.server += report.server_cpu_seconds;
        self.load += report.load_cpu_seconds;
        report.server_busy = self.server / self.seconds;
        report.load_busy = self.load / self.seconds;
    }
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
    /// Whether what comes back is counted now.
    measuring: bool,
    /// Of all measurements.
    times: Times,
    /// Of this measurement.
    count: u64,
}

impl Load {
    /// Measures once; nothing is on the way before it, nor after.
    fn measure(
        &mut self,
        clients: &mut [Client],
        server: Option<u32>,
        echo: &Echo,
    ) -> io::Result<Report> {
        let (messages, time) = match echo.messages {
            Some(messages) => (messages, Duration::MAX),
            None => (u64::MAX, Duration::from_millis(echo.millis)),
        };
        if echo.messages.is_none() && echo.warm_up > 0 {
            let warm_up = Duration::from_millis(echo.warm_up);
            self.burst(clients, echo.depth, u64::MAX, warm_up)?;
        }
        (self.measuring, self.count) = (true, 0);
        let start = Moment::now(server)?;
        self.burst(clients, echo.depth, messages, time)?;
        let mut report = Report::default();
        start.until(&Moment::now(server)?, &mut report);
        self.measuring = false;
        report.count = self.count;
        Ok(report)
    }

    /// All clients exchange messages until so many have begun or so much time has passed, and then
    /// until all have come back.
    fn burst(
        &mut self,
        clients: &mut [Client],
        depth: u32,
        messages: u64,
        time: Duration,
    ) -> io::Result<()> {
        self.left = messages;
        let begun = Instant::now();
        for client in clients.iter_mut() {
            for _ in 0..depth {
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
            if begun.elapsed() >= time {
                self.left = 0;
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
        Ok(())
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
