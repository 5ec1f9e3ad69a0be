//! W2. "Partial messages wait for the next event"
//!
//! From: F. Stage: 1.
//! Input: a frame of 9 bytes in two events, 6 bytes and 3.
//! Bug: 0 frames
//! Fix: 1 frame
//!
//! Nothing waits by itself: after `read` only the program has the bytes. The buffer is a local variable of the
//! handler, so it ends with the event. It belongs to the connection. In `async` code a local variable is enough,
//! because the future keeps it across the wait.

use std::io::{ErrorKind, Read};

use card::{Conn, Got};

mod bug {
    use super::*;

    #[derive(Default)]
    pub struct Connection;

    impl Connection {
        pub fn on_event(&mut self, socket: &mut Conn) -> usize {
            let mut buffer = Vec::new();
            read_all(socket, &mut buffer);
            take_frames(&mut buffer)
        }
    }
}

mod fix {
    use super::*;

    #[derive(Default)]
    pub struct Connection {
        buffer: Vec<u8>,
    }

    impl Connection {
        pub fn on_event(&mut self, socket: &mut Conn) -> usize {
            read_all(socket, &mut self.buffer);
            take_frames(&mut self.buffer)
        }
    }
}

/// Reads what has arrived.
fn read_all(socket: &mut Conn, buffer: &mut Vec<u8>) {
    let mut chunk = [0; 64];
    while let Ok(n @ 1..) = socket.read(&mut chunk) {
        buffer.extend_from_slice(&chunk[..n]);
    }
}

/// Takes the complete frames of 4 + 5 bytes out, and returns how many there were.
fn take_frames(buffer: &mut Vec<u8>) -> usize {
    let frames = buffer.len() / 9;
    buffer.drain(..frames * 9);
    frames
}

fn input(mut on_event: impl FnMut(&mut Conn) -> usize) -> String {
    let not_yet = Got::Error(ErrorKind::WouldBlock);
    let mut socket = Conn::new(&[Got::Bytes(b"\x05\0\0\0he"), not_yet, Got::Bytes(b"llo")]);
    let frames = on_event(&mut socket) + on_event(&mut socket);
    card::count(frames, "frame")
}

fn main() {
    card::run(
        &|| {
            let mut connection = bug::Connection;
            input(|socket| connection.on_event(socket))
        },
        &|| {
            let mut connection = fix::Connection::default();
            input(|socket| connection.on_event(socket))
        },
    );
}
