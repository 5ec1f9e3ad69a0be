//! Messages over a fixed set of connections. Each connection keeps `depth` messages in flight and
//! sends the next one after each answer.
//!
//! ```text
//!      open      warm up    drain        measure       drain
//!  ---------|------------|~~~~~~~~~|===============|~~~~~~~~~> report
//!           all send      last      all send        last
//!                         answers                   answers
//! ```
//!
//! A measurement begins and ends with no message in flight. So every counted message was sent,
//! answered and received within the measurement, and so was the work of both sides. Otherwise the
//! server's CPU time would include messages whose answers arrive after the end, and would lack the
//! work for the first answers. With thousands in flight, these are as many as all counted messages.
//!
//! With `--messages` the measurement ends after this number of messages instead of a duration, and
//! there is no warm-up. This mode is for counting system calls and instructions.
//!
//! The clock is read once per event, for all messages that the event completes. The time of a message
//! runs from the moment it can be sent (not from when the kernel accepts it) to its last byte.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bench_load::{Echo, Plan, Report};
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

use crate::latencies::Latencies;
use crate::open::open;
use crate::pattern::{LONGEST, Pattern};
use crate::usage::Usage;
use crate::{TIMEOUT, server_error};

const EVENTS: usize = 1024;

/// One connection.
struct Client {
    number: usize,
    stream: TcpStream,
    /// Start times of the messages in flight, oldest first.
    in_flight: VecDeque<Instant>,
    /// Bytes that the kernel has accepted.
    sent: u64,
    /// Bytes of all messages that have begun.
    begun: u64,
    /// Bytes that were echoed.
    received: u64,
    /// Value of `received` at the first byte of the oldest message in flight.
    boundary: u64,
    /// Whether the socket is registered for EPOLLOUT.
    wants_write: bool,
}

/// Opens the connections and measures: once, or with `--on-request` once per line of stdin. Passes
/// every report to `output`.
pub(crate) fn run(
    plan: &Plan,
    echo: &Echo,
    mut output: impl FnMut(&Report) -> io::Result<()>,
) -> io::Result<()> {
    let pattern = Pattern::new();
    let size = echo.size as usize;
    let (active, idle) = (echo.clients as usize, echo.idle as usize);
    // The first message is short, so that opening is quick for any message size.
    let first = size.min(64);
    let idle_streams = open(plan.server, &pattern, active, idle, first, TIMEOUT)?;
    let streams = open(plan.server, &pattern, 0, active, first, TIMEOUT)?;
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
            in_flight: VecDeque::with_capacity(echo.depth as usize),
            sent: first as u64,
            begun: first as u64,
            received: first as u64,
            boundary: first as u64,
            wants_write: false,
        });
    }
    let mut load = Load {
        pattern,
        size: size as u64,
        epoll,
        buffer: vec![0; LONGEST],
        left: 0,
        in_flight: 0,
        measuring: false,
        latencies: Latencies::new(),
        count: 0,
    };
    let mut so_far = Utilization::default();
    let mut measure = || {
        let mut report = load.measure(&mut clients, plan.pid, echo)?;
        load.latencies.report(&mut report);
        so_far.add(&mut report);
        report.idle = idle_streams.len() as u64;
        output(&report)
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

/// CPU time of both sides over all measurements so far.
#[derive(Default)]
struct Utilization {
    seconds: f64,
    server: f64,
    load: f64,
}

impl Utilization {
    /// Adds a measurement, and writes the utilization so far to its report.
    fn add(&mut self, report: &mut Report) {
        self.seconds += report.seconds;
        self.server += report.server_cpu_seconds;
        self.load += report.load_cpu_seconds;
        report.server_busy = self.server / self.seconds;
        report.load_busy = self.load / self.seconds;
    }
}

/// State that all clients share.
struct Load {
    pattern: Pattern,
    size: u64,
    epoll: std::os::fd::OwnedFd,
    buffer: Vec<u8>,
    /// Number of messages that can still begin.
    left: u64,
    /// Number of messages in flight, over all clients.
    in_flight: u64,
    /// Whether answers are counted now.
    measuring: bool,
    /// Round trips of all measurements.
    latencies: Latencies,
    /// Number of answers in this measurement.
    count: u64,
}

impl Load {
    /// Measures once. No message is in flight before and after.
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
        let start = Usage::now(server)?;
        self.burst(clients, echo.depth, messages, time)?;
        let mut report = Report::default();
        start.until(&Usage::now(server)?, &mut report);
        self.measuring = false;
        report.count = self.count;
        Ok(report)
    }

    /// Exchanges messages on all clients until `messages` have begun or `time` has passed, and then
    /// until all answers have arrived.
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
                self.begin(client, begun);
            }
            self.send(client)?;
        }
        let mut events = vec![MaybeUninit::<epoll::Event>::uninit(); EVENTS];
        let timeout = Timespec::try_from(TIMEOUT).map_err(io::Error::other)?;
        while self.in_flight > 0 {
            let (ready, _) = epoll::wait(&self.epoll, &mut events[..], Some(&timeout))?;
            if ready.is_empty() {
                return Err(server_error("sent no answer within the timeout"));
            }
            if begun.elapsed() >= time {
                self.left = 0;
            }
            for event in ready.iter() {
                // Copied because references into a packed struct are not allowed.
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

    /// Begins one more message of the client, if any is left.
    fn begin(&mut self, client: &mut Client, now: Instant) {
        if self.left > 0 {
            self.left -= 1;
            self.in_flight += 1;
            client.in_flight.push_back(now);
            client.begun += self.size;
        }
    }

    fn receive(&mut self, client: &mut Client) -> io::Result<()> {
        let length = match (&client.stream).read(&mut self.buffer) {
            Ok(0) => return Err(server_error("closed a connection too early")),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        let sent = self.pattern.piece(client.number, client.received, length);
        if self.buffer[..length] != *sent {
            return Err(server_error("echoed wrong bytes"));
        }
        client.received += length as u64;
        if client.received > client.sent {
            return Err(server_error("echoed too many bytes"));
        }
        while client.received >= client.boundary + self.size {
            client.boundary += self.size;
            let Some(begun) = client.in_flight.pop_front() else {
                return Err(server_error("answered a message that was not sent"));
            };
            self.in_flight -= 1;
            if self.measuring {
                self.latencies.add(now - begun);
                self.count += 1;
            }
            self.begin(client, now);
        }
        Ok(())
    }

    fn send(&mut self, client: &mut Client) -> io::Result<()> {
        while client.sent < client.begun {
            let due = (client.begun - client.sent) as usize;
            let bytes = self.pattern.piece(client.number, client.sent, due);
            match (&client.stream).write(bytes) {
                Ok(taken) => client.sent += taken as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let wants_write = client.sent < client.begun;
        if wants_write != client.wants_write {
            client.wants_write = wants_write;
            let mut interest = EventFlags::IN;
            interest.set(EventFlags::OUT, wants_write);
            let token = EventData::new_u64(client.number as u64);
            epoll::modify(&self.epoll, &client.stream, token, interest)?;
        }
        Ok(())
    }
}
