//! The model `busy-wait`: one thread, calls that never block, made again and again; one client at a
//! time.
//!
//! How it waits: it does not. Where `blocking` sleeps in the kernel, this asks, hears `EAGAIN`, and
//! asks again, a million times a second: a whole core is busy while nobody has anything to say. It
//! notices a byte a little sooner than a thread that has to be woken, which is why programs that own
//! a core do it. Here it is a flaw, on purpose, and it serves one client at a time, like `blocking`.

use std::hint::spin_loop;
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
    listener.set_nonblocking(true)?;
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
    let (stream, peer) = spin(|| listener.accept())?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
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
    spin(|| retry(|| stream.read(room)))
}

fn write(mut stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = spin(|| retry(|| stream.write(bytes)))?;
        bytes = &bytes[n..];
    }
    Ok(())
}

/// Asks until the answer is another than "not yet".
fn spin<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => spin_loop(),
            outcome => return outcome,
        }
    }
}
