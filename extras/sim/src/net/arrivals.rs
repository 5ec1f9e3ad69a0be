//! What arrives at a socket: the other half of `tcp`, which has the diagram.
//!
//! Sources: tcp(7), RFC 9293; `tcp_reset` in Linux' `net/ipv4/tcp_input.c` for the error of a reset.

use std::net::SocketAddr;

use super::tcp::{Phase, Socket, State, Stream};
use super::{Delivery, Net, RETRY_NS, SocketId};

impl Net {
    pub(super) fn reset_peer(&mut self, id: SocketId, errno: i32) {
        if let Some(stream) = self.stream(id) {
            let peer = stream.peer;
            self.send(peer, Delivery::Reset { to: peer, errno });
        }
    }

    /// Makes one thing happen that was in flight.
    pub(crate) fn arrive(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Syn { client, to, tries } => self.arrive_syn(client, to, tries),
            Delivery::Connected { client, server } => {
                if let Some(stream) = self.stream(client) {
                    stream.phase = Phase::Open;
                    self.note("connected", client, 0);
                    self.changed(client);
                    self.send(server, Delivery::Established { server });
                } else {
                    // The client has given up.
                    self.note("gone", client, 0);
                    self.sockets.remove(&server);
                }
            }
            Delivery::Established { server } => self.arrive_established(server),
            Delivery::Bytes { to, bytes } => self.arrive_bytes(to, &bytes),
            Delivery::Fin { to } => {
                if let Some(stream) = self.stream(to) {
                    stream.has_fin = true;
                    stream.read_end = true;
                    stream.close_if_over();
                    let peer = stream.peer;
                    self.send(peer, Delivery::FinTaken { of: peer });
                    self.note("end", to, 0);
                    self.changed(to);
                    self.remove_if_over(to);
                }
            }
            Delivery::FinTaken { of } => {
                if let Some(stream) = self.stream(of) {
                    stream.is_fin_taken = true;
                    stream.close_if_over();
                }
            }
            Delivery::Reset { to, errno } => self.arrive_reset(to, errno),
            Delivery::Taken { by, count } => {
                if let Some(stream) = self.stream(by) {
                    stream.sent = stream.sent.saturating_sub(count);
                    if stream.found_no_room && stream.has_room_for_event() {
                        stream.found_no_room = false;
                        self.changed(by);
                    }
                }
            }
            Delivery::Again { socket } => self.changed(socket),
            // They do not arrive at a socket.
            Delivery::Work { .. } | Delivery::Resend { .. } | Delivery::Action(_) => {}
        }
    }

    fn is_full(&self, listener: SocketId) -> bool {
        let socket = self.sockets.get(&listener);
        socket.is_some_and(|socket| match &socket.state {
            State::Listening(listener) => listener.queue.len() >= listener.backlog,
            _ => false,
        })
    }

    fn arrive_syn(&mut self, client: SocketId, to: SocketAddr, tries: u32) {
        let Some(from) = self.sockets.get(&client).and_then(|socket| socket.local) else {
            return;
        };
        let Some(host) = self.answering_host(client, to.ip()) else {
            self.retry_syn(client, to, tries);
            return;
        };
        let Some(listener) = self.listener_at(host, to) else {
            let errno = libc::ECONNREFUSED;
            self.send(client, Delivery::Reset { to: client, errno });
            return;
        };
        if self.is_full(listener) {
            let at = self.now_ns + RETRY_NS;
            self.at(at, Delivery::Syn { client, to, tries });
            return;
        }
        let mut socket = Socket::new(to.is_ipv6());
        socket.handles = 0;
        socket.local = Some(to);
        let mut stream = Stream::new(client, from, Phase::Open);
        stream.listener = Some(listener);
        socket.state = State::Stream(stream);
        let server = self.insert(socket);
        self.lan.set_host(server, host);
        if let Some(stream) = self.stream(client) {
            stream.peer = server;
        }
        self.send(client, Delivery::Connected { client, server });
    }

    fn arrive_established(&mut self, server: SocketId) {
        let Some(listener) = self.stream(server).and_then(|stream| stream.listener) else {
            return;
        };
        let socket = self.sockets.get_mut(&listener);
        let Some(State::Listening(found)) = socket.map(|socket| &mut socket.state) else {
            self.reset_peer(server, libc::ECONNRESET);
            self.sockets.remove(&server);
            return;
        };
        if found.queue.len() >= found.backlog {
            let at = self.now_ns + RETRY_NS;
            self.at(at, Delivery::Established { server });
            return;
        }
        found.queue.push_back(server);
        self.note("arrived", listener, server as i64);
        self.changed(listener);
    }

    fn arrive_bytes(&mut self, to: SocketId, bytes: &[u8]) {
        let Some(socket) = self.sockets.get_mut(&to) else {
            return;
        };
        let is_closed = socket.handles == 0;
        let Some(stream) = socket.stream() else {
            return;
        };
        if is_closed && stream.listener.is_none() {
            // Nothing reads them any more.
            self.reset_peer(to, libc::ECONNRESET);
            self.sockets.remove(&to);
            return;
        }
        stream.received.extend(bytes);
        self.note("bytes", to, bytes.len() as i64);
        self.changed(to);
    }

    fn arrive_reset(&mut self, to: SocketId, errno: i32) {
        let Some(socket) = self.sockets.get_mut(&to) else {
            return;
        };
        let is_closed = socket.handles == 0;
        let Some(stream) = socket.stream() else {
            return;
        };
        // After the peer's FIN alone, Linux reports a reset as EPIPE.
        let errno = if stream.has_fin && !stream.write_end && errno == libc::ECONNRESET {
            libc::EPIPE
        } else {
            errno
        };
        let waits = stream.listener.is_some();
        stream.phase = Phase::Closed;
        stream.read_end = true;
        stream.write_end = true;
        socket.error = Some(errno);
        self.note("reset", to, errno.into());
        if is_closed && !waits {
            self.sockets.remove(&to);
            return;
        }
        self.changed(to);
    }

    /// Forgets a socket without a descriptor when both directions have ended.
    fn remove_if_over(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        let is_closed = socket.handles == 0;
        let Some(stream) = socket.stream() else {
            return;
        };
        if is_closed && stream.listener.is_none() && stream.write_end && stream.read_end {
            self.sockets.remove(&id);
        }
    }
}
