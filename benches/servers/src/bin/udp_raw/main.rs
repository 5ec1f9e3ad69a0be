//! The floor of datagrams: a loop of blocking calls, without a runtime and without epoll(7).
//!
//! By default it receives and sends one datagram per call. With `--segments` it receives several of one
//! sender at once (`UDP_GRO`), and sends them back with one call (`UDP_SEGMENT`).

#![deny(unsafe_code)]

use std::error::Error;
use std::os::fd::AsFd;

use bench_servers::{LONGEST_DATAGRAM, bind_udp};

#[expect(unsafe_code, reason = "the system calls of the hand-written loop")]
mod sys;

fn main() -> Result<(), Box<dyn Error>> {
    let segments = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--segments") => true,
        Some(_) => return Err("the only option is --segments".into()),
    };
    let socket = bind_udp()?;
    let mut buffer = vec![0; LONGEST_DATAGRAM];
    if !segments {
        loop {
            let (length, peer) = socket.recv_from(&mut buffer)?;
            socket.send_to(&buffer[..length], peer)?;
        }
    }
    sys::set_gro(socket.as_fd())?;
    loop {
        let received = sys::recv(socket.as_fd(), &mut buffer)?;
        sys::send(socket.as_fd(), &buffer[..received.length], &received)?;
    }
}
