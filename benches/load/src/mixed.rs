//! Small messages at a fixed rate beside streams of bytes: how long do small messages take on a server
//! that is busy?
//!
//! The time of a message begins when it is due, not when it is sent, so a server that is late with one
//! message is charged for those that wait behind it. Streams keep a fixed number of bytes in flight and
//! use all of the server that the messages leave.
//!
//! With `--on-request` the server is stopped by SIGSTOP between two measurements. Otherwise its own
//! timers and tasks would use its core while others are measured. What is overdue when it continues
//! runs during the warm-up.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use bench_load::{Mixed, Plan, Report};
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::process::{Pid, Signal, kill_process};

use crate::latencies::Latencies;
use crate::open::open;
use crate::pattern::Pattern;
use crate::usage::Usage;
use crate::{TIMEOUT, server_error};

/// Few, so that messages that are due are not late because of a long batch.
const EVENTS: usize = 64;
/// Longest read of a stream.
const PIECE: usize = 16 * 1024;
/// Bytes of the first message of each connection.
const FIRST: usize = 64;

struct Client {
    number: usize,
    socket: TcpStream,
    /// When each message in flight was due, oldest first. Empty for a stream.
    due: VecDeque<Instant>,
    /// Bytes to send, those sent, and those that came back.
    begun: u64,
    sent: u64,
    received: u64,
    wants_write: bool,
    /// Bytes in flight of a stream; 0 for a client of small messages.
    window: u64,
}

/// Opens the connections and measures: once, or with `--on-request` once per line of stdin. Passes every
/// report to `output`.
pub(crate) fn run(
    plan: &Plan,
    mixed: &Mixed,
    mut output: impl FnMut(&Report) -> io::Result<()>,
) -> io::Result<()> {
    let pattern = Pattern::new();
    let count = (mixed.clients + mixed.streams) as usize;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut clients = Vec::with_capacity(count);
    let sockets = open(plan.server, &pattern, 0, count, FIRST, TIMEOUT)?;
    for (number, socket) in sockets.into_iter().enumerate() {
        let token = EventData::new_u64(number as u64);
        epoll::add(&epoll, &socket, token, EventFlags::IN)?;
        let is_stream = number >= mixed.clients as usize;
        clients.push(Client {
            number,
            socket,
            due: VecDeque::new(),
            begun: FIRST as u64,
            sent: FIRST as u64,
            received: FIRST as u64,
            wants_write: false,
            window: if is_stream {
                u64::from(mixed.window)
            } else {
                0
            },
        });
    }
    let mut load = Load {
        mixed: mixed.clone(),
        pattern,
        epoll,
        clients,
        buffer: vec![0; PIECE],
        next: 0,
        in_flight: 0,
        sending: false,
        latencies: Latencies::new(),
        count: 0,
        streamed: 0,
    };
    if !mixed.on_request {
        return output(&load.measure(plan.pid)?);
    }
    let Some(server) = plan.pid else {
        return Err(io::Error::other("mixed --on-request: --pid is required"));
    };
    let mut paused = Paused::stop(server)?;
    for request in io::stdin().lines() {
        request?;
        drop(paused);
        output(&load.measure(Some(server))?)?;
        paused = Paused::stop(server)?;
    }
    Ok(())
}

/// The server, stopped until this is dropped.
struct Paused(Pid);

impl Paused {
    fn stop(server: u32) -> io::Result<Paused> {
        let pid = i32::try_from(server).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("--pid is not a process"))?;
        kill_process(pid, Signal::STOP)?;
        Ok(Paused(pid))
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // Fails only if the server has ended, which the next read reports.
        kill_process(self.0, Signal::CONT).ok();
    }
}

struct Load {
    mixed: Mixed,
    pattern: Pattern,
    epoll: OwnedFd,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    /// Client of the next message.
    next: usize,
    /// Bytes in flight on all connections.
    in_flight: u64,
    /// Whether streams send more.
    sending: bool,
    latencies: Latencies,
    /// Answered messages, and bytes that came back on streams.
    count: u64,
    streamed: u64,
}

impl Load {
    /// Measures once. Nothing is in flight before and after.
    fn measure(&mut self, server: Option<u32>) -> io::Result<Report> {
        if self.mixed.warm_up > 0 {
            self.burst(Duration::from_millis(self.mixed.warm_up))?;
        }
        self.latencies = Latencies::new();
        (self.count, self.streamed) = (0, 0);
        let start = Usage::now(server)?;
        self.burst(Duration::from_millis(self.mixed.millis))?;
        let mut report = Report::default();
        start.until(&Usage::now(server)?, &mut report);
        self.latencies.report(&mut report);
        (report.count, report.streamed) = (self.count, self.streamed);
        report.server_busy = report.server_cpu_seconds / report.seconds;
        report.load_busy = report.load_cpu_seconds / report.seconds;
        Ok(report)
    }

    /// Sends messages and streams for `time`, and waits until everything has come back.
    fn burst(&mut self, time: Duration) -> io::Result<()> {
        let period = Duration::from_secs(1) / self.mixed.rate;
        let begun = Instant::now();
        let end = begun + time;
        let mut due = begun;
        self.sending = true;
        for number in self.mixed.clients as usize..self.clients.len() {
            self.fill(number)?;
        }
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); EVENTS];
        let mut progress = begun;
        while self.sending || self.in_flight > 0 {
            let now = Instant::now();
            while due <= now && due < end {
                self.message(due)?;
                due += period;
            }
            self.sending = now < end;
            let wait = if due < end {
                due - now.min(due)
            } else {
                TIMEOUT
            };
            let wait = if self.sending {
                wait.min(end - now)
            } else {
                wait
            };
            let timeout = Timespec::try_from(wait).map_err(io::Error::other)?;
            let (ready, _) = epoll::wait(&self.epoll, &mut events[..], Some(&timeout))?;
            if !ready.is_empty() {
                progress = now;
            } else if self.in_flight > 0 && now - progress > TIMEOUT {
                return Err(server_error("sent no answer within the timeout"));
            }
            let numbers: Vec<usize> = ready
                .iter()
                .map(|event| event.data.u64() as usize)
                .collect();
            for number in numbers {
                self.receive(number)?;
                self.fill(number)?;
            }
        }
        Ok(())
    }

    /// Begins a message of the next client.
    fn message(&mut self, due: Instant) -> io::Result<()> {
        let number = self.next;
        self.next = (number + 1) % self.mixed.clients as usize;
        let size = u64::from(self.mixed.size);
        let client = &mut self.clients[number];
        client.due.push_back(due);
        client.begun += size;
        self.in_flight += size;
        self.send(number)
    }

    /// Fills the window of a stream, and sends what is not sent yet.
    fn fill(&mut self, number: usize) -> io::Result<()> {
        let client = &mut self.clients[number];
        let free = client.window.saturating_sub(client.begun - client.received);
        if self.sending && free > 0 {
            client.begun += free;
            self.in_flight += free;
        }
        self.send(number)
    }

    fn send(&mut self, number: usize) -> io::Result<()> {
        let client = &mut self.clients[number];
        while client.sent < client.begun {
            let due = (client.begun - client.sent).min(PIECE as u64) as usize;
            let bytes = self.pattern.piece(number, client.sent, due);
            match (&client.socket).write(bytes) {
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
            epoll::modify(&self.epoll, &client.socket, token, interest)?;
        }
        Ok(())
    }

    fn receive(&mut self, number: usize) -> io::Result<()> {
        let client = &mut self.clients[number];
        let length = match (&client.socket).read(&mut self.buffer) {
            Ok(0) => return Err(server_error("closed a connection too early")),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        if self.buffer[..length] != *self.pattern.piece(number, client.received, length) {
            return Err(server_error("echoed wrong bytes"));
        }
        client.received += length as u64;
        if client.received > client.sent {
            return Err(server_error("echoed too many bytes"));
        }
        self.in_flight -= length as u64;
        if client.window > 0 {
            self.streamed += length as u64;
            return Ok(());
        }
        let now = Instant::now();
        let size = u64::from(self.mixed.size);
        let waiting = (client.begun - client.received).div_ceil(size) as usize;
        while client.due.len() > waiting {
            if let Some(due) = client.due.pop_front() {
                self.latencies.add(now - due);
                self.count += 1;
            }
        }
        Ok(())
    }
}
