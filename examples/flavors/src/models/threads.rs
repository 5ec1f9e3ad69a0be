//! The model `threads`: blocking calls, and a thread for each client.
//!
//! How it waits: as `blocking` does, but each client has a thread to sleep for it, and the kernel's
//! scheduler switches between them. What it costs: a stack and a kernel thread per client, a context
//! switch where a single thread would just go on, and a lock around the store. Without a limit on the
//! threads a crowd of clients could take all the memory: past it, accepting waits until one has left.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::retry;
use crate::end::{Broken, log, report};
use crate::protocol::Decoder;
use crate::serve::{Accepting, AfterAccept, GRACE, PAUSE, Settings};
use crate::store::{ManyThreads, Shared};

/// Enough for the call chain of [`converse`]; the default of 2 MiB is only reserved, not used, but
/// a thousand of them show in every list of processes.
const STACK: usize = 256 << 10;

/// Serves until SIGTERM.
pub(crate) fn serve(listener: &'static TcpListener, settings: Settings) -> io::Result<()> {
    let store = ManyThreads::default();
    let clients = Arc::new(Clients::default());
    let mut accepting = Accepting::default();
    loop {
        clients.wait_for_room(settings.max_threads);
        match accept(listener) {
            Ok((stream, peer)) => {
                let (store, client) = (store.clone(), clients.enter(stream));
                let thread = thread::Builder::new().stack_size(STACK).spawn(move || {
                    report(peer, &converse(&client.stream, &store, settings));
                });
                if let Err(error) = thread {
                    log(format_args!("{peer}: a thread: {error}; closed"));
                }
            }
            Err(error) => match accepting.failed(error)? {
                AfterAccept::Next => {}
                AfterAccept::Pause => thread::sleep(PAUSE),
                AfterAccept::Stop => {
                    clients.end();
                    return Ok(());
                }
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

/// Who is here: for the limit, and for the end.
#[derive(Debug, Default)]
struct Clients {
    open: Mutex<Open>,
    one_left: Condvar,
}

#[derive(Debug, Default)]
struct Open {
    streams: HashMap<u64, Arc<TcpStream>>,
    accepted: u64,
}

/// A client's place among them, given back when its thread ends, also by a panic.
struct Client {
    stream: Arc<TcpStream>,
    id: u64,
    clients: Arc<Clients>,
}

impl Clients {
    fn open(&self) -> MutexGuard<'_, Open> {
        // No operation on the table can leave it in pieces.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_room(&self, limit: usize) {
        let open = self.open();
        let full =
            |open: &mut Open| open.streams.len() >= limit && !crate::sys::signal::is_stopping();
        // The end has to be noticed by a thread that waits here, too, and a signal rings no condition.
        let mut open = open;
        while full(&mut open) {
            open = self
                .one_left
                .wait_timeout(open, PAUSE)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn enter(self: &Arc<Self>, stream: TcpStream) -> Client {
        let stream = Arc::new(stream);
        let mut open = self.open();
        open.accepted += 1;
        let id = open.accepted;
        open.streams.insert(id, Arc::clone(&stream));
        Client {
            stream,
            id,
            clients: Arc::clone(self),
        }
    }

    /// Ends everybody's input; who then does not take the answers is cut off after the grace.
    fn end(&self) {
        let deadline = Instant::now() + GRACE;
        let mut how = Shutdown::Read;
        loop {
            for stream in self.open().streams.values() {
                // An error says that it has ended already.
                stream.shutdown(how).ok();
            }
            let mut open = self.open();
            while !open.streams.is_empty() {
                let left = deadline.saturating_duration_since(Instant::now());
                if how == Shutdown::Read && left.is_zero() {
                    break;
                }
                let wait = if how == Shutdown::Read { left } else { PAUSE };
                open = self
                    .one_left
                    .wait_timeout(open, wait)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
            if open.streams.is_empty() {
                return;
            }
            how = Shutdown::Both;
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.clients.open().streams.remove(&self.id);
        self.clients.one_left.notify_one();
    }
}
