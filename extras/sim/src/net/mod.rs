//! The network of a world: sockets by descriptor, and what is in flight between them.
//!
//! ```text
//!   calls       a call on a socket, whatever kind it is of
//!   tcp         TCP: the calls; `arrivals` has what arrives
//!   udp         UDP
//!   unix        Unix streams and datagrams
//!   ip          addresses of TCP and UDP
//!   epoll       the events of all of them
//!   hosts       with several hosts: what passes between them
//!   programs    what each of them waits for; `clock` has its clock
//!   steps       what happens next
//! ```
//!
//! Without hosts, [`Net::deliver`] makes what is due happen, and the simulation moves the time.

mod arrivals;
pub(crate) mod calls;
mod clock;
pub(crate) mod epoll;
pub(crate) mod hosts;
mod ip;
pub(crate) mod programs;
pub(crate) mod steps;
pub(crate) mod tcp;
mod udp;
mod unix;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::path::PathBuf;

use wakeful::kernel::Work;

use crate::faults::Faults;
use crate::world::choices::Choices;
use crate::world::events::{Event, Events};
use epoll::Ready;
use hosts::{HostId, Lan};
use tcp::Socket;

/// Number of a socket in this world.
pub(crate) type SocketId = u64;

/// Number of an error.
pub(crate) type Errno = i32;

/// The least time that something is in flight.
const LATENCY_NS: u64 = 20_000;
/// One step of additional time in flight; there are up to 63 of them.
const LATENCY_STEP_NS: u64 = 5_000;
/// The time after which a connection is tried again whose listener had no room: the first one of TCP.
pub(crate) const RETRY_NS: u64 = 1_000_000_000;

/// Something in flight.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// A connection is asked for.
    Syn {
        client: SocketId,
        to: SocketAddr,
        /// How often there was no answer.
        tries: u32,
    },
    /// The client's connection is open.
    Connected {
        client: SocketId,
        server: SocketId,
    },
    /// The last packet of the handshake: the connection enters the queue of the listener.
    Established {
        server: SocketId,
    },
    Bytes {
        to: SocketId,
        bytes: Vec<u8>,
    },
    Fin {
        to: SocketId,
    },
    /// The peer has the FIN of a socket.
    FinTaken {
        of: SocketId,
    },
    Reset {
        to: SocketId,
        errno: i32,
    },
    /// The peer has taken bytes.
    Taken {
        by: SocketId,
        count: usize,
    },
    /// An event after an `EAGAIN` by fault.
    Again {
        socket: SocketId,
    },
    /// A datagram of UDP.
    Datagram {
        sender: SocketId,
        from: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    /// No socket was bound where a datagram has arrived (an ICMP message).
    Unreachable {
        sender: SocketId,
        to: SocketAddr,
    },
    /// A closure of the blocking pool.
    Work {
        host: HostId,
        work: Work,
    },
    /// What is held back for a socket is sent again.
    Resend {
        to: SocketId,
        tries: u32,
    },
    /// An action of the test, by its number.
    Action(u64),
}

#[derive(Debug)]
struct Flight {
    at_ns: u64,
    /// The socket whose deliveries keep their order.
    to: Option<SocketId>,
    delivery: Delivery,
}

/// A connection that was closed first on this side.
#[derive(Debug)]
struct Closed {
    host: HostId,
    local: SocketAddr,
    /// `SO_REUSEADDR` of its socket.
    reuse: bool,
    until_ns: u64,
}

/// How long its address stays in use: `TCP_TIMEWAIT_LEN`.
const TIME_WAIT_NS: u64 = 60_000_000_000;

pub(crate) struct Net {
    pub(crate) now_ns: u64,
    pub(crate) choices: Choices,
    pub(crate) events: Events,
    pub(crate) faults: Faults,
    pub(crate) sockets: BTreeMap<SocketId, Socket>,
    pub(crate) fds: BTreeMap<RawFd, SocketId>,
    pub(crate) lan: Lan,
    /// Sockets with a change that no epoll has reported.
    pub(crate) ready: Vec<Ready>,
    /// What is in flight, in the order of its arrival. Up to some hundred of them, a place is found and made faster
    /// than in a tree.
    in_flight: VecDeque<Flight>,
    /// The latest connections that were closed first on this side.
    time_wait: Vec<Closed>,
    /// Paths to which Unix sockets were bound, by host.
    paths: BTreeSet<(HostId, PathBuf)>,
    next_socket: SocketId,
    next_port: u16,
}

impl Net {
    pub(crate) fn new(choices: Choices, events: Events, faults: Faults) -> Self {
        Self {
            now_ns: 0,
            choices,
            events,
            faults,
            sockets: BTreeMap::new(),
            fds: BTreeMap::new(),
            lan: Lan::default(),
            ready: Vec::new(),
            in_flight: VecDeque::new(),
            time_wait: Vec::new(),
            paths: BTreeSet::new(),
            next_socket: 1,
            next_port: 40_000,
        }
    }

    /// Records an event.
    #[inline]
    pub(crate) fn note(&mut self, what: &'static str, socket: SocketId, value: i64) {
        self.events.push(Event {
            at_ns: self.now_ns,
            what,
            socket,
            value,
        });
    }

    pub(crate) fn insert(&mut self, socket: Socket) -> SocketId {
        let id = self.next_socket;
        self.next_socket += 1;
        self.sockets.insert(id, socket);
        self.lan.set_host(id, self.lan.running);
        id
    }

    /// Returns a port that no socket of the simulation is bound to. After all were tried, the next one.
    pub(crate) fn free_port(&mut self) -> u16 {
        for _ in 1_024..=u16::MAX {
            self.next_port = self.next_port.wrapping_add(1).max(1_024);
            let uses = |socket: &Socket| socket.local.is_some_and(|at| at.port() == self.next_port);
            if !self.sockets.values().any(uses) {
                break;
            }
        }
        self.next_port
    }

    /// Lets something happen after a random delay, and after everything else that is in flight to the same
    /// socket.
    pub(crate) fn send(&mut self, to: SocketId, delivery: Delivery) {
        if self.faults.at_once() {
            return self.at(self.now_ns, delivery);
        }
        let steps = if self.faults.delays() {
            self.choices.choose(("delay", to), 64)
        } else {
            0
        };
        let at_ns = self.now_ns + LATENCY_NS + u64::from(steps) * LATENCY_STEP_NS;
        // Nothing overtakes on a connection.
        let later = self.in_flight.iter().rev();
        let mut later = later.take_while(|flight| flight.at_ns > at_ns);
        let last = later.find(|flight| flight.to == Some(to));
        let at_ns = last.map_or(at_ns, |last| last.at_ns);
        self.insert_in_flight(at_ns, Some(to), delivery);
    }

    /// Lets something happen at a time.
    pub(crate) fn at(&mut self, at_ns: u64, delivery: Delivery) {
        self.insert_in_flight(at_ns, None, delivery);
    }

    fn insert_in_flight(&mut self, at_ns: u64, to: Option<SocketId>, delivery: Delivery) {
        let place = self
            .in_flight
            .partition_point(|flight| flight.at_ns <= at_ns);
        let flight = Flight {
            at_ns,
            to,
            delivery,
        };
        self.in_flight.insert(place, flight);
    }

    /// Keeps the address of a connection in use that was closed first on this side.
    fn wait_for_late_packets(&mut self, id: SocketId) {
        let now_ns = self.now_ns;
        self.time_wait.retain(|closed| closed.until_ns > now_ns);
        if let Some(socket) = self.sockets.get(&id)
            && let Some(local) = socket.local
        {
            self.time_wait.push(Closed {
                host: self.lan.host_of(id),
                local,
                reuse: socket.reuse,
                until_ns: now_ns + TIME_WAIT_NS,
            });
        }
    }

    /// Makes everything arrive that takes no time. Closures and actions wait for the next turn.
    pub(crate) fn arrive_at_once(&mut self) {
        if !self.faults.at_once() {
            return;
        }
        let mut later = Vec::new();
        while let Some(delivery) = self.take_due() {
            match delivery {
                Delivery::Work { .. } | Delivery::Action(_) => later.push(delivery),
                Delivery::Resend { to, tries } => self.resend(to, tries),
                delivery => self.arrive_at_host(delivery),
            }
        }
        for delivery in later {
            self.at(self.now_ns, delivery);
        }
    }

    /// Returns when the next thing happens.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.in_flight.front().map(|next| next.at_ns)
    }

    /// Makes everything happen that is due. Returns the closures that are due, which the caller runs
    /// without a lock.
    pub(crate) fn deliver(&mut self) -> Vec<Work> {
        let mut work = Vec::new();
        while let Some(delivery) = self.take_due() {
            match delivery {
                Delivery::Work { work: closure, .. } => work.push(closure),
                delivery => self.arrive(delivery),
            }
        }
        work
    }

    /// Takes the next thing that is due.
    fn take_due(&mut self) -> Option<Delivery> {
        if self.next_ns()? > self.now_ns {
            return None;
        }
        self.in_flight.pop_front().map(|flight| flight.delivery)
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSliceMut;

    use socket2::{Domain, Type};
    use wakeful::kernel::Address;

    use super::calls::MAX_SENT;
    use super::epoll::Watch;
    use super::*;

    const EPOLL: RawFd = 3;

    fn net() -> Net {
        let choices = Choices::from_seed("test", 1);
        Net::new(choices, Events::new(false), Faults::delays_only())
    }

    fn open(net: &mut Net, fd: RawFd, kind: Type) -> SocketId {
        let socket = Socket::for_kind(Domain::IPV4, kind).unwrap();
        let id = net.insert(socket);
        net.fds.insert(fd, id);
        id
    }

    fn recv(net: &mut Net, id: SocketId, len: usize) -> Result<usize, Errno> {
        net.recv(id, &mut [IoSliceMut::new(&mut vec![0; len])], false)
    }

    fn watch(net: &mut Net, id: SocketId, fd: RawFd) {
        let watch = Watch {
            epoll: EPOLL,
            fd,
            token: id,
            interest: u32::MAX,
        };
        net.watch(id, watch);
    }

    fn tokens(net: &mut Net) -> Vec<u64> {
        std::iter::from_fn(|| net.next_event(EPOLL))
            .map(|event| event.token)
            .collect()
    }

    /// Lets everything arrive.
    fn settle(net: &mut Net) {
        while let Some(at_ns) = net.next_ns() {
            net.now_ns = at_ns;
            assert!(net.deliver().is_empty(), "no closures");
        }
    }

    /// Returns a socket that listens, with descriptor 9, and its address.
    fn listening(net: &mut Net) -> (SocketId, SocketAddr) {
        let listener = open(net, 9, Type::STREAM);
        net.listen(listener, 1).unwrap();
        let Ok(Address::Ip(mut to)) = net.local_addr(listener) else {
            unreachable!("a socket of TCP");
        };
        to.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        (listener, to)
    }

    /// Accepts a connection, with descriptor 11.
    fn accept(net: &mut Net, listener: SocketId) -> SocketId {
        let (server, _) = net.accept(listener).unwrap();
        net.fds.insert(11, server);
        if let Some(socket) = net.sockets.get_mut(&server) {
            socket.handles = 1;
        }
        server
    }

    /// Returns a client and an accepted socket, with descriptors 10 and 11.
    fn connected(net: &mut Net) -> (SocketId, SocketId) {
        let (listener, to) = listening(net);
        let client = open(net, 10, Type::STREAM);
        assert_eq!(
            net.connect(client, &Address::Ip(to)),
            Err(libc::EINPROGRESS)
        );
        settle(net);
        let server = accept(net, listener);
        net.fds.remove(&9);
        net.close(listener, false);
        (client, server)
    }

    #[test]
    fn nothing_is_kept_of_connections_that_are_over() {
        let mut net = net();
        for _ in 0..50 {
            let (client, server) = connected(&mut net);
            net.send_bytes(client, b"bytes".to_vec(), 5).unwrap();
            settle(&mut net);
            assert_eq!(recv(&mut net, server, 9), Ok(5));
            net.fds.clear();
            net.close(client, false);
            settle(&mut net);
            net.close(server, false);
            settle(&mut net);
        }
        assert!(net.sockets.is_empty());
        assert!(net.in_flight.is_empty());
        // The addresses are in use for a minute.
        assert_eq!(net.time_wait.len(), 50);
        net.now_ns += TIME_WAIT_NS;
        let (client, server) = connected(&mut net);
        net.close(client, false);
        settle(&mut net);
        net.close(server, false);
        settle(&mut net);
        assert_eq!(net.time_wait.len(), 1);
    }

    #[test]
    fn an_answer_to_a_connection_that_was_given_up_is_none_to_the_next_one() {
        let mut net = net();
        let (listener, to) = listening(&mut net);
        let client = open(&mut net, 10, Type::STREAM);
        let connect = |net: &mut Net| net.connect(client, &Address::Ip(to));
        assert_eq!(connect(&mut net), Err(libc::EINPROGRESS));
        net.now_ns = net.next_ns().unwrap();
        assert!(net.deliver().is_empty(), "the listener has answered");
        net.shutdown(client, std::net::Shutdown::Both).unwrap();
        assert_eq!(connect(&mut net), Err(libc::EINPROGRESS));
        settle(&mut net);
        let server = accept(&mut net, listener);
        assert!(net.accept(listener).is_err());
        if let Some(socket) = net.sockets.get_mut(&client) {
            assert_eq!(socket.error.take(), Some(libc::ECONNRESET));
        }
        net.send_bytes(client, b"x".to_vec(), 1).unwrap();
        settle(&mut net);
        assert_eq!(recv(&mut net, server, 9), Ok(1));
    }

    #[test]
    fn a_socket_without_descriptor_has_no_events() {
        let mut net = net();
        let (client, server) = connected(&mut net);
        watch(&mut net, client, 10);
        watch(&mut net, server, 11);
        net.fds.remove(&10);
        net.close(client, false);
        assert_eq!(tokens(&mut net), [server]);
        assert!(net.sockets.contains_key(&client), "its end is in flight");
        settle(&mut net);
        assert_eq!(tokens(&mut net), [server]);
    }

    #[test]
    fn room_that_was_used_before_its_event_is_an_event_later() {
        let mut net = net();
        let (client, server) = connected(&mut net);
        watch(&mut net, client, 10);
        tokens(&mut net);
        let fill = |net: &mut Net| net.send_bytes(client, vec![7; MAX_SENT], MAX_SENT);
        let count = fill(&mut net).unwrap();
        settle(&mut net);
        recv(&mut net, server, count / 2).unwrap();
        settle(&mut net);
        // Not more than there is room for, so this send does not ask for an event.
        net.send_bytes(client, vec![7; count / 2], count / 2)
            .unwrap();
        assert!(tokens(&mut net).is_empty(), "there is no room now");
        settle(&mut net);
        recv(&mut net, server, count).unwrap();
        settle(&mut net);
        assert_eq!(tokens(&mut net), [client]);
    }

    #[test]
    fn a_number_that_is_used_again_does_not_end_the_watch_of_another_socket() {
        let mut net = net();
        let (client, server) = connected(&mut net);
        watch(&mut net, client, 10);
        if let Some(socket) = net.sockets.get_mut(&client) {
            socket.handles += 1;
        }
        // The duplicate keeps the socket in the epoll.
        net.fds.remove(&10);
        net.close(client, false);
        let other = open(&mut net, 10, Type::DGRAM);
        watch(&mut net, other, 10);
        tokens(&mut net);
        net.unwatch(EPOLL, 10);
        net.changed(other);
        assert!(tokens(&mut net).is_empty());
        net.send_bytes(server, b"x".to_vec(), 1).unwrap();
        settle(&mut net);
        assert_eq!(tokens(&mut net), [client]);
    }
}
