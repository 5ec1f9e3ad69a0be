//! The model `blocking`: one thread, blocking calls, one client at a time.
//!
//! How it waits: inside accept(2), recv(2) and send(2); the kernel puts the thread to sleep until that
//! one call can go on. While it sleeps in a read from one client, it can do nothing for another. That
//! is its flaw, on purpose: a second client is accepted when the first has left.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::retry;
use crate::end::{Broken, report};
use crate::protocol::Decoder;
use crate::serve::{Accepting, AfterAccept, PAUSE, Settings};
use crate::store::{OneThread, Shared};
use crate::sys::signal::OnlyClient;

/// Serves until SIGTERM.
pub(crate) fn serve(listener: &'static TcpListener, settings: Settings) -> io::Result<()> {
    let store = OneThread::default();
    let mut accepting = Accepting::default();
    loop {
        match accept(listener) {
            Ok((stream, peer)) => {
                let client = OnlyClient::new(&stream);
                report(peer, &converse(&client, &store, settings));
            }
            Err(error) => match accepting.failed(error)? {
                AfterAccept::Next => {}
                AfterAccept::Pause => thread::sleep(PAUSE),
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

/// Everything one client asks, until it leaves.
fn converse(stream: &TcpStream, store: &impl Shared, settings: Settings) -> Result<(), Broken> {
    let mut decoder = Decoder::new(settings.max_frame);
    loop {
        while let Some(request) = decoder.next_request()? {
            let answer = store.answer(request).to_frame();
            write(stream, &answer).map_err(Broken::during("send"))?;
        }
        match read(stream, decoder.room()).map_err(Broken::during("recv"))? {
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
