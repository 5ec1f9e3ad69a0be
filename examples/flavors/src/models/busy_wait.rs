//! The model `busy-wait`: one thread, non-blocking calls that are repeated, one client at a time.
//!
//! How it waits: it does not. Where `blocking` sleeps in the kernel, this model gets `EAGAIN` and
//! retries, about a million times a second. A whole core is busy while no client sends. A byte is
//! read slightly sooner than by a thread that has to be woken, so programs with a dedicated core do
//! this. Here it is a flaw by design, and the model serves one client at a time, like `blocking`.

use std::hint::spin_loop;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::retry;
use crate::end::{ConnectionError, log_outcome};
use crate::protocol::Decoder;
use crate::serve::{ACCEPT_RETRY_DELAY, AcceptErrors, AfterAccept, Settings};
use crate::store::{OneThread, Shared};
use crate::sys::signal::OnlyClient;

/// Serves until SIGTERM.
pub(crate) fn serve(listener: &'static TcpListener, settings: Settings) -> io::Result<()> {
    let store = OneThread::default();
    let mut accept_errors = AcceptErrors::default();
    listener.set_nonblocking(true)?;
    loop {
        match accept(listener) {
            Ok((stream, peer)) => {
                let client = OnlyClient::new(&stream);
                log_outcome(peer, &serve_client(&client, &store, settings));
            }
            Err(error) => match accept_errors.handle(error)? {
                AfterAccept::Continue => {}
                AfterAccept::Retry => thread::sleep(ACCEPT_RETRY_DELAY),
                AfterAccept::Stop => return Ok(()),
            },
        }
    }
}

fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = spin(|| listener.accept())?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok((stream, peer))
}

/// Answers all requests of a client until it disconnects.
fn serve_client(
    stream: &TcpStream,
    store: &impl Shared,
    settings: Settings,
) -> Result<(), ConnectionError> {
    let mut decoder = Decoder::new(settings.max_frame);
    loop {
        while let Some(request) = decoder.next_request()? {
            let answer = store.answer(request).to_frame();
            write(stream, &answer).map_err(ConnectionError::io("send"))?;
        }
        match read(stream, decoder.room()).map_err(ConnectionError::io("recv"))? {
            0 => return Ok(decoder.finish()?),
            n => decoder.filled(n),
        }
    }
}

fn read(mut stream: &TcpStream, room: &mut [u8]) -> io::Result<usize> {
    spin(|| retry(|| stream.read(room)))
}

fn write(mut stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = spin(|| retry(|| stream.write(bytes)))?;
        bytes = &bytes[n..];
    }
    Ok(())
}

/// Repeats a call while it fails with `EAGAIN`.
fn spin<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => spin_loop(),
            outcome => return outcome,
        }
    }
}
