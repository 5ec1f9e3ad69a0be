//! Bytes through a relay, which connects every two connections that it accepts to each other.
//!
//! Each flow has two connections: pieces are sent on one and have to come out of the other, with every
//! byte in order. A flow keeps a window of pieces in flight. With a window of 1 the next piece is sent
//! when the last one has arrived, so that exactly one piece is waiting at the relay. With more, the relay
//! meets as many bytes as the kernel's buffers hold.

use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bench_load::{Plan, Relay, Report};
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use socket2::SockRef;

use crate::pattern::{LONGEST, Pattern};
use crate::usage::Usage;
use crate::{TIMEOUT, server_error};

const EVENTS: usize = 1024;

/// Two connections that the relay has connected to each other.
struct Flow {
    number: usize,
    source: TcpStream,
    sink: TcpStream,
    /// Bytes of all pieces that have begun.
    begun: u64,
    sent: u64,
    received: u64,
    wants_write: bool,
}

/// Opens the flows and measures: once, or with `--on-request` once per line of stdin. Passes every
/// report to `output`.
pub(crate) fn run(
    plan: &Plan,
    relay: &Relay,
    mut output: impl FnMut(&Report) -> io::Result<()>,
) -> io::Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut flows = Vec::with_capacity(relay.clients as usize);
    for number in 0..relay.clients as usize {
        let flow = Flow {
            number,
            source: connect(plan.server)?,
            sink: connect(plan.server)?,
            begun: 0,
            sent: 0,
            received: 0,
            wants_write: false,
        };
        epoll::add(
            &epoll,
            &flow.source,
            source_token(number),
            EventFlags::empty(),
        )?;
        epoll::add(&epoll, &flow.sink, sink_token(number), EventFlags::IN)?;
        flows.push(flow);
    }
    let mut load = Load {
        size: u64::from(relay.size),
        window: u64::from(relay.window),
        pattern: Pattern::new(),
        epoll,
        buffer: vec![0; LONGEST],
        left: 0,
        in_flight: 0,
    };
    let mut measure = || output(&load.measure(&mut flows, plan.pid, relay)?);
    if !relay.on_request {
        return measure();
    }
    for request in io::stdin().lines() {
        request?;
        measure()?;
    }
    Ok(())
}

fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    // Otherwise connections in TIME_WAIT would disturb the next measurement.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

fn source_token(number: usize) -> EventData {
    EventData::new_u64(number as u64 * 2)
}

fn sink_token(number: usize) -> EventData {
    EventData::new_u64(number as u64 * 2 + 1)
}

/// State that all flows share.
struct Load {
    size: u64,
    window: u64,
    pattern: Pattern,
    epoll: std::os::fd::OwnedFd,
    buffer: Vec<u8>,
    /// Number of pieces that can still begin.
    left: u64,
    /// Number of pieces in flight, over all flows.
    in_flight: u64,
}

impl Load {
    /// Measures once. No piece is in flight before and after.
    fn measure(
        &mut self,
        flows: &mut [Flow],
        server: Option<u32>,
        relay: &Relay,
    ) -> io::Result<Report> {
        let (pieces, time) = match relay.messages {
            Some(pieces) => (pieces, Duration::MAX),
            None => (u64::MAX, Duration::from_millis(relay.millis)),
        };
        if relay.messages.is_none() && relay.warm_up > 0 {
            self.burst(flows, u64::MAX, Duration::from_millis(relay.warm_up))?;
        }
        let start = Usage::now(server)?;
        let count = self.burst(flows, pieces, time)?;
        let mut report = Report::default();
        start.until(&Usage::now(server)?, &mut report);
        report.count = count;
        report.server_busy = report.server_cpu_seconds / report.seconds;
        report.load_busy = report.load_cpu_seconds / report.seconds;
        Ok(report)
    }

    /// Sends pieces on all flows until that many have begun or `time` has passed, and then waits until all
    /// have arrived. Returns their number.
    fn burst(&mut self, flows: &mut [Flow], pieces: u64, time: Duration) -> io::Result<u64> {
        self.left = pieces;
        let begun = Instant::now();
        for flow in flows.iter_mut() {
            self.begin(flow, self.window);
            self.send(flow)?;
        }
        let mut events = vec![MaybeUninit::<epoll::Event>::uninit(); EVENTS];
        let timeout = Timespec::try_from(TIMEOUT).map_err(io::Error::other)?;
        let mut count = 0;
        while self.in_flight > 0 {
            let (ready, _) = epoll::wait(&self.epoll, &mut events[..], Some(&timeout))?;
            if ready.is_empty() {
                return Err(server_error("passed nothing on within the timeout"));
            }
            if begun.elapsed() >= time {
                self.left = 0;
            }
            for event in ready.iter() {
                // Copied because references into a packed struct are not allowed.
                let token = event.data.u64();
                let flow = &mut flows[token as usize / 2];
                if token % 2 == 1 {
                    count += self.receive(flow)?;
                }
                self.send(flow)?;
            }
        }
        Ok(count)
    }

    /// Begins more pieces of a flow, if any are left.
    fn begin(&mut self, flow: &mut Flow, pieces: u64) {
        let pieces = pieces.min(self.left);
        self.left -= pieces;
        self.in_flight += pieces;
        flow.begun += pieces * self.size;
    }

    /// Receives once and returns how many pieces that has completed.
    fn receive(&mut self, flow: &mut Flow) -> io::Result<u64> {
        let length = match (&flow.sink).read(&mut self.buffer) {
            Ok(0) => return Err(server_error("closed a connection too early")),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error),
        };
        let expected = self.pattern.piece(flow.number, flow.received, length);
        if self.buffer[..length] != *expected {
            return Err(server_error("passed wrong bytes on"));
        }
        let before = flow.received / self.size;
        flow.received += length as u64;
        if flow.received > flow.sent {
            return Err(server_error("passed too many bytes on"));
        }
        let complete = flow.received / self.size - before;
        self.in_flight -= complete;
        self.begin(flow, complete);
        Ok(complete)
    }

    fn send(&mut self, flow: &mut Flow) -> io::Result<()> {
        while flow.sent < flow.begun {
            let due = (flow.begun - flow.sent).min(self.size) as usize;
            let bytes = self.pattern.piece(flow.number, flow.sent, due);
            match (&flow.source).write(bytes) {
                Ok(taken) => flow.sent += taken as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let wants_write = flow.sent < flow.begun;
        if wants_write != flow.wants_write {
            flow.wants_write = wants_write;
            let mut interest = EventFlags::empty();
            interest.set(EventFlags::OUT, wants_write);
            epoll::modify(
                &self.epoll,
                &flow.source,
                source_token(flow.number),
                interest,
            )?;
        }
        Ok(())
    }
}
