//! The model `blocking`: one thread, blocking calls, one client at a time.
//!
//! How it waits: in accept(2), recv(2) and send(2). The kernel suspends the thread until that call
//! can proceed. While the thread waits for one client, it cannot serve another. This flaw is by
//! design: a second client is accepted after the first has disconnected.

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
    let (stream, peer) = listener.accept()?;
    stream.set_nodelay(true)?;
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
    retry(|| stream.read(room))
}

fn write(mut stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = retry(|| stream.write(bytes))?;
        bytes = &bytes[n..];
    }
    Ok(())
}
