//! Random calls on a few sockets: what no script has thought of.

use std::net::Shutdown;
use std::time::Duration;

use socket2::{Domain, Type};
use wakeful::kernel::Address;
use wakeful::time::sleep;

use crate::log::Log;
use crate::raw::{LOOPBACK, Raw, ip, new_name};

/// What a sequence of calls is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Udp,
    UnixStream,
    UnixDatagram,
}

/// Calls of one sequence.
const CALLS: usize = 40;

/// Sockets that are open at once.
const SLOTS: usize = 4;

struct Sequence {
    kind: Kind,
    random: u64,
    slots: Vec<Option<Raw>>,
    /// Slots whose sockets listen.
    listening: [bool; SLOTS],
    /// Addresses to which sockets were bound.
    addresses: Vec<Address>,
    log: Log,
}

impl Sequence {
    fn choose(&mut self, of: usize) -> usize {
        // xorshift64, Marsaglia 2003.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % of as u64) as usize
    }

    fn new_socket(&self) -> Raw {
        match self.kind {
            Kind::Tcp => Raw::new(Domain::IPV4, Type::STREAM),
            Kind::Udp => Raw::new(Domain::IPV4, Type::DGRAM),
            Kind::UnixStream => Raw::unix(Type::STREAM),
            Kind::UnixDatagram => Raw::unix(Type::DGRAM),
        }
    }

    fn new_address(&self) -> Address {
        match self.kind {
            Kind::Tcp | Kind::Udp => ip(LOOPBACK[0].parse().unwrap()),
            Kind::UnixStream | Kind::UnixDatagram => new_name(),
        }
    }

    /// Returns an address at which nothing is.
    fn unknown_address(&self) -> Address {
        match self.kind {
            Kind::Tcp | Kind::Udp => ip("127.0.0.1:1".parse().unwrap()),
            Kind::UnixStream | Kind::UnixDatagram => new_name(),
        }
    }

    /// Makes one call.
    fn step(&mut self) {
        let slot = self.choose(SLOTS);
        let call = self.choose(16);
        let number = self.choose(16);
        let address = match self.addresses.len() {
            0 => self.unknown_address(),
            count => self.addresses[number % count].clone(),
        };
        let what = |name: &str| format!("{name} {slot}");
        let Some(socket) = self.slots[slot].take() else {
            self.log.push(&what("open"), ());
            self.slots[slot] = Some(self.new_socket());
            self.listening[slot] = false;
            return;
        };
        let socket = match call {
            0 => return self.close(slot, socket, number),
            1..=6 => self.connections(slot, socket, call, number, &address),
            7 => self.shutdown(slot, socket, number),
            _ => self.transfers(slot, socket, call, number, &address),
        };
        self.slots[slot] = Some(socket);
    }

    fn connections(
        &mut self,
        slot: usize,
        socket: Raw,
        call: usize,
        number: usize,
        address: &Address,
    ) -> Raw {
        let what = |name: &str| format!("{name} {slot}");
        match call {
            1 => {
                let to = self.new_address();
                let bound = socket.bind(&to).and_then(|()| socket.local_addr());
                if let Ok(at) = &bound {
                    self.addresses.push(at.clone());
                }
                self.log.call(&what("bind"), bound.map(drop));
            }
            2 if self.addresses.is_empty() => {}
            2 => self.log.call(&what("bind again"), socket.bind(address)),
            3 => {
                let listening = socket.listen(number as u32 % 3);
                self.listening[slot] = listening.is_ok();
                self.log.call(&what("listen"), listening);
            }
            4 | 5 => self.log.call(&what("connect"), socket.connect(address)),
            _ => {
                let accepted = socket.accept().map(|(accepted, _)| {
                    let to = (slot + 1) % SLOTS;
                    self.slots[to] = Some(accepted);
                    self.listening[to] = false;
                });
                self.log.call(&what("accept"), accepted);
            }
        }
        socket
    }

    /// Linux lets it fail without a connection, and still remembers some of it. So it is not called then.
    fn shutdown(&mut self, slot: usize, socket: Raw, number: usize) -> Raw {
        if self.listening[slot] || socket.peer_addr().is_ok() {
            let how = [Shutdown::Read, Shutdown::Write, Shutdown::Both][number % 3];
            let what = format!("shutdown {slot}");
            self.log.call(&what, socket.shutdown(how));
            self.listening[slot] = false;
        }
        socket
    }

    fn transfers(
        &self,
        slot: usize,
        socket: Raw,
        call: usize,
        number: usize,
        address: &Address,
    ) -> Raw {
        let what = |name: &str| format!("{name} {slot}");
        let log = &self.log;
        let to_address = self.kind == Kind::Udp || self.kind == Kind::UnixDatagram;
        match call {
            8 => log.push(&what("error"), socket.take_error()),
            9 => log.call(&what("peer"), socket.peer_addr().map(drop)),
            10 if to_address => {
                log.call(&what("send to"), socket.send_to(b"datagram", address));
            }
            10 | 11 => log.call(&what("send"), socket.send(&b"bytes"[..number % 6])),
            12 => log.call(&what("peek"), socket.peek()),
            _ => log.call(&what("receive"), socket.recv(number)),
        }
        socket
    }

    fn close(&self, slot: usize, socket: Raw, number: usize) {
        if number.is_multiple_of(4) && self.kind == Kind::Tcp {
            self.log.push("reset", slot);
            socket.reset();
        } else {
            self.log.push("close", slot);
        }
    }
}

/// Makes the calls of a sequence.
pub(crate) async fn calls(log: Log, kind: Kind, seed: u64) {
    let mut sequence = Sequence {
        kind,
        random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        slots: (0..SLOTS).map(|_| None).collect(),
        listening: [false; SLOTS],
        addresses: Vec::new(),
        log,
    };
    for _ in 0..CALLS {
        sequence.step();
        sleep(Duration::from_millis(1)).await;
    }
}
