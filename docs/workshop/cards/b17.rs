//! B17. It listens, but where?
//!
//! From: V. Stage: 11.
//! Input: the port is still in use by another socket.
//! Bug: started, on another port
//! Fix: not started: Address already in use (os error 98)
//!
//! The result of `bind` is ignored. `listen` then takes any port for the socket, so the program starts and its
//! clients do not find it. Stop with a message that names the address; and set `SO_REUSEADDR`, as std does.

use std::io;
use std::net::{SocketAddr, TcpListener};

mod bug {
    use super::*;

    pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
        let bound = TcpListener::bind(address).ok();
        // What listen(2) does with a socket that has no address.
        Ok(bound.unwrap_or(TcpListener::bind("127.0.0.1:0")?))
    }
}

mod fix {
    use super::*;

    pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(address)
    }
}

fn input(listen: fn(SocketAddr) -> io::Result<TcpListener>) -> String {
    let other = TcpListener::bind(card::loopback()).unwrap();
    let wanted = other.local_addr().unwrap();
    match listen(wanted).map(|listener| listener.local_addr().unwrap() == wanted) {
        Ok(true) => "started, on its port".to_owned(),
        Ok(false) => "started, on another port".to_owned(),
        Err(error) => format!("not started: {error}"),
    }
}

fn main() {
    card::run(&|| input(bug::listen), &|| input(fix::listen));
}
