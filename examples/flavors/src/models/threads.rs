//! The model `threads`: blocking calls, and a thread for each client.
//!
//! How it waits: as `blocking` does, but each client has its own thread, and the kernel's scheduler
//! switches between them. The costs: a stack and a kernel thread per client, a context switch where
//! a single thread would continue, and a lock around the store. Without a limit on threads, many
//! clients could exhaust the memory. At the limit, accepting waits until a client has disconnected.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::retry;
use crate::end::{ConnectionError, log, log_outcome};
use crate::protocol::Decoder;
use crate::serve::{ACCEPT_RETRY_DELAY, AcceptErrors, AfterAccept, SHUTDOWN_TIMEOUT, Settings};
use crate::store::{ManyThreads, Shared};

/// Stack size of a client thread, enough for the call chain of [`serve_client`]. The default of 2
/// MiB is only reserved, but a thousand stacks of that size show up in the virtual size of the
/// process.
const STACK_SIZE: usize = 256 << 10;

/// Serves until SIGTERM.
pub(crate) fn serve(listener: &'static TcpListener, settings: Settings) -> io::Result<()> {
    let store = ManyThreads::default();
    let clients = Arc::new(Clients::default());
    let mut accept_errors = AcceptErrors::default();
    loop {
        clients.wait_for_capacity(settings.max_threads);
        match accept(listener) {
            Ok((stream, peer)) => {
                let (store, client) = (store.clone(), clients.insert(stream));
                let thread = thread::Builder::new()
                    .stack_size(STACK_SIZE)
                    .spawn(move || {
                        log_outcome(peer, &serve_client(&client.stream, &store, settings));
                    });
                if let Err(error) = thread {
                    log(format_args!("{peer}: spawn thread: {error}; closed"));
                }
            }
            Err(error) => match accept_errors.handle(error)? {
                AfterAccept::Continue => {}
                AfterAccept::Retry => thread::sleep(ACCEPT_RETRY_DELAY),
                AfterAccept::Stop => {
                    clients.shut_down();
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

/// The connected clients, for the limit on threads and for the shutdown.
#[derive(Debug, Default)]
struct Clients {
    table: Mutex<ClientTable>,
    one_closed: Condvar,
}

#[derive(Debug, Default)]
struct ClientTable {
    streams: HashMap<u64, Arc<TcpStream>>,
    accepted: u64,
}

/// An entry in [`Clients`], removed on drop: when its thread ends, including by a panic.
struct Client {
    stream: Arc<TcpStream>,
    id: u64,
    clients: Arc<Clients>,
}

impl Clients {
    fn lock(&self) -> MutexGuard<'_, ClientTable> {
        // A poisoned lock is safe to use: no operation leaves the table in an invalid state.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there are fewer than `limit` clients, or until the shutdown.
    fn wait_for_capacity(&self, limit: usize) {
        let mut table = self.lock();
        while table.streams.len() >= limit && !crate::sys::signal::is_stopping() {
            // With a timeout, because a signal handler cannot notify the condition variable.
            table = self
                .one_closed
                .wait_timeout(table, ACCEPT_RETRY_DELAY)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn insert(self: &Arc<Self>, stream: TcpStream) -> Client {
        let stream = Arc::new(stream);
        let mut table = self.lock();
        table.accepted += 1;
        let id = table.accepted;
        table.streams.insert(id, Arc::clone(&stream));
        Client {
            stream,
            id,
            clients: Arc::clone(self),
        }
    }

    /// Ends the input of all clients, and closes those that are still open after the timeout.
    fn shut_down(&self) {
        let deadline = Instant::now() + SHUTDOWN_TIMEOUT;
        let mut how = Shutdown::Read;
        loop {
            for stream in self.lock().streams.values() {
                // An error means that the connection has ended already.
                stream.shutdown(how).ok();
            }
            let mut table = self.lock();
            while !table.streams.is_empty() {
                let left = deadline.saturating_duration_since(Instant::now());
                if how == Shutdown::Read && left.is_zero() {
                    break;
                }
                let wait = if how == Shutdown::Read {
                    left
                } else {
                    ACCEPT_RETRY_DELAY
                };
                table = self
                    .one_closed
                    .wait_timeout(table, wait)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
            if table.streams.is_empty() {
                return;
            }
            how = Shutdown::Both;
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.clients.lock().streams.remove(&self.id);
        self.clients.one_closed.notify_one();
    }
}
