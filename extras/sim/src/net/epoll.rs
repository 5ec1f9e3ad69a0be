//! The events of sockets, as edges: a change is reported once to each epoll that watches the socket.
//!
//! As in Linux, the flags of an event are the state when the epoll reports it, not that of the change.
//! Changes of one socket in between are one event.
//!
//! Sources: epoll(7), tcp(7); `tcp_poll` in Linux' `net/ipv4/tcp.c`, `datagram_poll` in `net/core/datagram.c`,
//! and `unix_poll` and `unix_dgram_poll` in `net/unix/af_unix.c` for the flags.

use std::os::fd::RawFd;

use wakeful::kernel::Event;

use super::tcp::{Phase, Socket, State};
use super::{Delivery, Net, SocketId};

/// A socket in an epoll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watch {
    pub(crate) epoll: RawFd,
    pub(crate) fd: RawFd,
    pub(crate) token: u64,
    pub(crate) interest: u32,
}

/// A change that an epoll is due to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    socket: SocketId,
    watch: Watch,
}

pub(super) const IN: u32 = libc::EPOLLIN as u32;
pub(super) const OUT: u32 = libc::EPOLLOUT as u32;
pub(super) const RDHUP: u32 = libc::EPOLLRDHUP as u32;
pub(super) const HUP: u32 = libc::EPOLLHUP as u32;
const ERR: u32 = libc::EPOLLERR as u32;

/// Returns the flags that Linux would report for a socket now, as far as they do not depend on its peer.
fn flags(socket: &Socket) -> u32 {
    let mut flags = 0;
    match &socket.state {
        State::New => flags = OUT | HUP,
        State::Listening(listener) => {
            if !listener.queue.is_empty() {
                flags = IN;
            }
        }
        State::Stream(stream) if stream.phase == Phase::Connecting => {}
        State::Stream(stream) => {
            if stream.read_end {
                flags |= IN | RDHUP;
            }
            if !stream.received.is_empty() {
                flags |= IN;
            }
            if stream.write_end || stream.has_room_for_event() {
                flags |= OUT;
            }
            if stream.read_end && stream.write_end {
                flags |= HUP;
            }
        }
        State::Udp(udp) => flags = udp.flags(),
        State::Unix(unix) => flags = unix.flags(),
    }
    if socket.error.is_some() {
        flags |= ERR;
    }
    flags
}

impl Net {
    /// Adds a socket to an epoll. What it is ready for already is an event.
    pub(crate) fn watch(&mut self, id: SocketId, watch: Watch) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.watches.push(watch);
            self.changed(id);
        }
    }

    /// Removes a descriptor from an epoll. One that is closed is not found. As in Linux, its socket stays in
    /// the epoll then while another descriptor of it is open.
    pub(crate) fn unwatch(&mut self, epoll: RawFd, fd: RawFd) {
        let Some(id) = self.fds.get(&fd).copied() else {
            return;
        };
        let is_it = |watch: &Watch| watch.epoll == epoll && watch.fd == fd;
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.watches.retain(|watch| !is_it(watch));
        }
        self.ready
            .retain(|ready| ready.socket != id || !is_it(&ready.watch));
    }

    /// Removes a socket from all epolls, because its last descriptor is closed.
    pub(super) fn unwatch_all(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.watches.clear();
        }
        self.ready.retain(|ready| ready.socket != id);
    }

    /// Marks a socket as changed, for each epoll that watches it.
    pub(crate) fn changed(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get(&id) else {
            return;
        };
        for watch in &socket.watches {
            let ready = Ready {
                socket: id,
                watch: *watch,
            };
            if !self.ready.contains(&ready) {
                self.ready.push(ready);
            }
        }
    }

    /// Returns whether an epoll is due to report a change. It can have been undone meanwhile.
    pub(crate) fn has_event(&self, epoll: RawFd) -> bool {
        self.ready.iter().any(|ready| ready.watch.epoll == epoll)
    }

    /// Forgets changes of sockets that are not watched any more. Otherwise a later epoll with the same number
    /// could report them.
    pub(crate) fn forget_ended_watches(&mut self) {
        let sockets = &self.sockets;
        let is_watched = |ready: &Ready| {
            let socket = sockets.get(&ready.socket);
            socket.is_some_and(|socket| socket.watches.contains(&ready.watch))
        };
        self.ready.retain(is_watched);
    }

    /// Causes the event that follows an `EAGAIN` by fault: for bytes soon, and for room as after an
    /// `EAGAIN` of the kernel.
    pub(crate) fn again(&mut self, id: SocketId) {
        self.wait_for_room(id);
        self.send(id, Delivery::Again { socket: id });
    }

    /// Lets room be an event, as after a send that has found none. Linux does so whenever it finds that a socket
    /// has no room: another send can have used it before its event is reported.
    fn wait_for_room(&mut self, id: SocketId) {
        match self.sockets.get_mut(&id).map(|socket| &mut socket.state) {
            Some(State::Stream(stream)) if stream.phase == Phase::Open => {
                stream.found_no_room = true;
            }
            Some(State::Unix(unix)) => unix.found_no_room = true,
            _ => {}
        }
    }

    /// Takes the next event of an epoll, in a chosen order.
    pub(crate) fn next_event(&mut self, epoll: RawFd) -> Option<Event> {
        loop {
            let is_of_epoll = |place: &usize| self.ready[*place].watch.epoll == epoll;
            let mut places = (0..self.ready.len()).filter(is_of_epoll);
            let chosen = match places.clone().count() {
                0 => return None,
                count if count == 1 || !self.faults.orders() => 0,
                count => self.choices.choose("events", count as u32) as usize,
            };
            let Ready { socket: id, watch } = self.ready.remove(places.nth(chosen)?);
            let Some(socket) = self.sockets.get(&id) else {
                continue;
            };
            // Errors and hang-ups are reported whether they are asked for or not.
            let mut found = flags(socket);
            if !self.has_peer_room(id) {
                found &= !OUT;
            }
            if found & OUT == 0 {
                self.wait_for_room(id);
            }
            let found = found & (watch.interest | ERR | HUP);
            if found != 0 {
                self.note("event", id, found.into());
                let token = watch.token;
                return Some(Event {
                    token,
                    flags: found,
                });
            }
        }
    }
}
