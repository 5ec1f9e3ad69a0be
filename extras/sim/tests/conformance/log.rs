//! What a script has seen, and what several scripts do.

use std::cell::RefCell;
use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::zip;
use wakeful::io::{AsyncFd, Interest, Ready};
use wakeful::time::sleep;
use wakeful_net::{TcpListener, TcpStream};

use crate::raw::Raw;

/// What a script has seen.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn push(&self, what: &str, seen: impl Debug) {
        self.0.borrow_mut().push(format!("{what}: {seen:?}"));
    }

    /// Logs a value, or the kind of an error.
    pub(crate) fn result<T: Debug>(&self, what: &str, result: io::Result<T>) {
        match result {
            Ok(value) => self.push(what, value),
            Err(error) => self.push(what, error.kind()),
        }
    }

    /// Logs a value, or the number of an error.
    pub(crate) fn call<T: Debug>(&self, what: &str, result: io::Result<T>) {
        self.push(what, result.map_err(|error| error.raw_os_error()));
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Returns an accepted stream and its client.
pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listen().await;
    let (accepted, client) = zip(listener.accept(), TcpStream::connect(address)).await;
    (accepted.unwrap().0, client.unwrap())
}

/// Waits until everything that is in flight has arrived.
pub(crate) async fn settle() {
    sleep(Duration::from_millis(5)).await;
}

pub(crate) async fn read(log: &Log, what: &str, stream: &TcpStream) {
    let mut buf = [0; 64];
    let result = stream.read(&mut buf).await;
    log.result(
        what,
        result.map(|count| String::from_utf8_lossy(&buf[..count]).into_owned()),
    );
}

pub(crate) async fn write(log: &Log, what: &str, stream: &TcpStream) {
    log.result(what, stream.write_all(b"bytes").await);
}

fn both() -> Interest {
    Interest::READABLE | Interest::WRITABLE
}

fn log_flags(log: &Log, what: &str, ready: Ready) {
    let flags = (ready.is_readable(), ready.is_writable());
    let ends = (
        ready.is_read_closed(),
        ready.is_write_closed(),
        ready.is_error(),
    );
    log.push(what, (flags, ends));
}

pub(crate) async fn log_ready(log: &Log, what: &str, stream: &TcpStream) {
    let ready = stream.ready(both()).await.unwrap();
    log_flags(log, what, ready);
}

/// Waits until everything has arrived, and logs what the events so far have reported.
pub(crate) async fn flags(log: &Log, what: &str, socket: &AsyncFd<Raw>) {
    settle().await;
    match socket.try_ready(both()) {
        Some(guard) => log_flags(log, what, guard.ready()),
        None => log.push(what, "nothing"),
    }
}

/// As [`flags`], and clears them, so that the next ones are those of later events.
pub(crate) async fn edges(log: &Log, what: &str, socket: &AsyncFd<Raw>) {
    flags(log, what, socket).await;
    if let Some(mut guard) = socket.try_ready(both()) {
        guard.clear_ready();
    }
}
