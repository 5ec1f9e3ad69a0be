//! Datagrams of a fixed set of clients. Each client sends a window of datagrams, and the next window
//! when every datagram of it has come back.
//!
//! With `--segments` a window leaves with one system call (`UDP_SEGMENT`), and answers are received
//! several at once (`UDP_GRO`). Without it there is a call per datagram.
//!
//! Answers have to come back in order, with their bytes and their sizes. A lost datagram is an error,
//! like any other: windows are small enough for the kernel's buffers.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use bench_load::{Plan, Report, Udp};
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

use crate::latencies::Latencies;
use crate::pattern::Pattern;
use crate::usage::Usage;
use crate::{TIMEOUT, server_error, sys};

const EVENTS: usize = 1024;

/// Longest batch of datagrams.
const LONGEST: usize = 65_507;

struct Client {
    number: usize,
    socket: UdpSocket,
    /// Datagrams of this window that have not come back.
    in_flight: u64,
    /// Bytes that were sent in earlier windows or have come back in this one.
    received: u64,
    sent_at: Instant,
}

/// Opens the sockets and measures: once, or with `--on-request` once per line of stdin. Passes every
/// report to `output`.
pub(crate) fn run(
    plan: &Plan,
    udp: &Udp,
    mut output: impl FnMut(&Report) -> io::Result<()>,
) -> io::Result<()> {
    if udp.segments && udp.window as usize * udp.size as usize > LONGEST {
        let text = format!("a window in segments has at most {LONGEST} bytes");
        return Err(io::Error::other(text));
    }
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut clients = Vec::with_capacity(udp.clients as usize);
    for number in 0..udp.clients as usize {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(plan.server)?;
        socket.set_nonblocking(true)?;
        if udp.segments {
            sys::set_segments(socket.as_fd(), udp.size as u16)?;
        }
        let token = EventData::new_u64(number as u64);
        epoll::add(&epoll, &socket, token, EventFlags::IN)?;
        clients.push(Client {
            number,
            socket,
            in_flight: 0,
            received: 0,
            sent_at: Instant::now(),
        });
    }
    let mut load = Load {
        udp: udp.clone(),
        pattern: Pattern::new(),
        epoll,
        buffer: vec![0; 65_536],
        left: 0,
        in_flight: 0,
        measuring: false,
        latencies: Latencies::new(),
        count: 0,
    };
    let mut measure = || {
        let mut report = load.measure(&mut clients, plan.pid)?;
        load.latencies.report(&mut report);
        report.server_busy = report.server_cpu_seconds / report.seconds;
        report.load_busy = report.load_cpu_seconds / report.seconds;
        output(&report)
    };
    if !udp.on_request {
        return measure();
    }
    for request in io::stdin().lines() {
        request?;
        measure()?;
    }
    Ok(())
}

/// State that all clients share.
struct Load {
    udp: Udp,
    pattern: Pattern,
    epoll: std::os::fd::OwnedFd,
    buffer: Vec<u8>,
    /// Number of datagrams that can still be sent.
    left: u64,
    /// Number of datagrams in flight, over all clients.
    in_flight: u64,
    /// Whether answers are counted now.
    measuring: bool,
    /// Round trips of all measurements.
    latencies: Latencies,
    /// Number of answers in this measurement.
    count: u64,
}

impl Load {
    /// Measures once. No datagram is in flight before and after.
    fn measure(&mut self, clients: &mut [Client], server: Option<u32>) -> io::Result<Report> {
        let (datagrams, time) = match self.udp.messages {
            Some(datagrams) => (datagrams, Duration::MAX),
            None => (u64::MAX, Duration::from_millis(self.udp.millis)),
        };
        if self.udp.messages.is_none() && self.udp.warm_up > 0 {
            self.burst(clients, u64::MAX, Duration::from_millis(self.udp.warm_up))?;
        }
        (self.measuring, self.count) = (true, 0);
        let start = Usage::now(server)?;
        self.burst(clients, datagrams, time)?;
        let mut report = Report::default();
        start.until(&Usage::now(server)?, &mut report);
        self.measuring = false;
        report.count = self.count;
        Ok(report)
    }

    /// Exchanges datagrams on all clients until that many were sent or `time` has passed, and then until
    /// all answers have arrived.
    fn burst(&mut self, clients: &mut [Client], datagrams: u64, time: Duration) -> io::Result<()> {
        self.left = datagrams;
        let begun = Instant::now();
        for client in clients.iter_mut() {
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
                let data = event.data;
                let client = &mut clients[data.u64() as usize];
                self.receive(client)?;
                if client.in_flight == 0 {
                    self.send(client)?;
                }
            }
        }
        Ok(())
    }

    /// Sends the next window, or what is left of the datagrams.
    fn send(&mut self, client: &mut Client) -> io::Result<()> {
        let window = self.left.min(u64::from(self.udp.window));
        let size = self.udp.size as usize;
        let bytes = window as usize * size;
        let bytes = self.pattern.piece(client.number, client.received, bytes);
        client.sent_at = Instant::now();
        // A window goes out whole on loopback, so a refusal is an error like any other.
        let at_once = if self.udp.segments { bytes.len() } else { size };
        for piece in bytes.chunks(at_once.max(1)) {
            client.socket.send(piece)?;
        }
        client.in_flight = window;
        self.left -= window;
        self.in_flight += window;
        Ok(())
    }

    /// Receives until the window is complete or nothing has arrived.
    fn receive(&mut self, client: &mut Client) -> io::Result<()> {
        let size = self.udp.size as usize;
        while client.in_flight > 0 {
            let length = match client.socket.recv(&mut self.buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            if length == 0 || length % size != 0 || length > size && !self.udp.segments {
                return Err(server_error("sent a datagram of another size"));
            }
            let expected = self.pattern.piece(client.number, client.received, length);
            if self.buffer[..length] != *expected {
                return Err(server_error("echoed wrong bytes"));
            }
            let count = (length / size) as u64;
            if count > client.in_flight {
                return Err(server_error("echoed too many datagrams"));
            }
            client.received += length as u64;
            client.in_flight -= count;
            self.in_flight -= count;
            if self.measuring {
                self.count += count;
                let took = client.sent_at.elapsed();
                (0..count).for_each(|_| self.latencies.add(took));
            }
        }
        Ok(())
    }
}
