//! Short connections with one message each: connect, send, receive, close, next.
//!
//! ```text
//! connect(2) --> Connecting --writable--> Waiting --all bytes back--> Ending --end of input--> next
//!                                send ^                 shutdown(WR) ^              close ^
//! ```
//!
//! The client shuts down its direction first and then waits for the server's close, which is the usual
//! order for a server. The time of a connection runs from `connect` to the server's close.

use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Instant;

use bench_load::{Connections, Plan, Report};
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use crate::latencies::Latencies;
use crate::pattern::{LONGEST, Pattern};
use crate::usage::Usage;
use crate::{TIMEOUT, server_error};

enum State {
    Connecting,
    Waiting { received: usize },
    Ending,
}

struct Client {
    /// Number of the connection, which determines its bytes.
    number: usize,
    stream: TcpStream,
    state: State,
    begun: Instant,
}

struct Churn<'a> {
    plan: &'a Plan,
    connections: &'a Connections,
    pattern: Pattern,
    epoll: OwnedFd,
    /// Number of connections that have begun.
    begun: usize,
    buffer: Vec<u8>,
}

pub(crate) fn run(plan: &Plan, connections: &Connections) -> io::Result<Report> {
    let mut churn = Churn {
        plan,
        connections,
        pattern: Pattern::new(),
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        begun: 0,
        buffer: vec![0; LONGEST],
    };
    let mut times = Latencies::new();
    let start = Usage::now(plan.pid)?;
    let at_once = connections.clients.min(connections.count) as usize;
    let mut clients = Vec::with_capacity(at_once);
    for slot in 0..at_once {
        clients.push(churn.begin(slot)?);
    }
    let mut ended = 0;
    let mut events = [MaybeUninit::<epoll::Event>::uninit(); 256];
    let timeout = Timespec::try_from(TIMEOUT).map_err(io::Error::other)?;
    while ended < connections.count {
        let (ready, _) = epoll::wait(&churn.epoll, &mut events[..], Some(&timeout))?;
        if ready.is_empty() {
            return Err(server_error("made no progress within the timeout"));
        }
        for event in ready.iter() {
            let data = event.data; // copied: no references into a packed struct
            let slot = data.u64() as usize;
            if churn.advance(slot, &mut clients[slot])? {
                times.add(clients[slot].begun.elapsed());
                ended += 1;
                if churn.begun < connections.count as usize {
                    clients[slot] = churn.begin(slot)?;
                } else {
                    epoll::delete(&churn.epoll, &clients[slot].stream)?;
                }
            }
        }
    }
    let end = Usage::now(plan.pid)?;
    let mut report = Report::default();
    start.until(&end, &mut report);
    times.report(&mut report);
    report.count = u64::from(ended);
    Ok(report)
}

impl Churn<'_> {
    /// Begins the next connection in `slot`.
    fn begin(&mut self, slot: usize) -> io::Result<Client> {
        let server = self.plan.server;
        let family = match server {
            std::net::SocketAddr::V4(_) => AddressFamily::INET,
            std::net::SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        let begun = Instant::now();
        match connect(&socket, &server) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let token = EventData::new_u64(slot as u64);
        epoll::add(&self.epoll, &socket, token, EventFlags::OUT)?;
        let number = self.begun;
        self.begun += 1;
        Ok(Client {
            number,
            stream: TcpStream::from(socket),
            state: State::Connecting,
            begun,
        })
    }

    /// Advances the client's state. Returns whether the connection has ended.
    fn advance(&mut self, slot: usize, client: &mut Client) -> io::Result<bool> {
        let size = self.connections.size as usize;
        let message = self.pattern.piece(client.number, 0, size);
        if let State::Connecting = client.state {
            // A new socket accepts a small message as a whole.
            if (&client.stream).write(message)? != size {
                return Err(io::Error::other(
                    "send: the socket accepted only a part of the message",
                ));
            }
            client.state = State::Waiting { received: 0 };
            let token = EventData::new_u64(slot as u64);
            epoll::modify(&self.epoll, &client.stream, token, EventFlags::IN)?;
            return Ok(false);
        }
        let length = match (&client.stream).read(&mut self.buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        match &mut client.state {
            State::Waiting { received } if length > 0 => {
                let answer = &self.buffer[..length];
                if message.get(*received..*received + length) != Some(answer) {
                    return Err(server_error("echoed wrong bytes"));
                }
                *received += length;
                if *received == size {
                    client.stream.shutdown(Shutdown::Write)?;
                    client.state = State::Ending;
                }
                Ok(false)
            }
            State::Ending if length == 0 => Ok(true),
            State::Ending => Err(server_error("echoed too many bytes")),
            _ => Err(server_error("closed a connection too early")),
        }
    }
}
