//! Callbacks instead of `async`: a server calls the functions of a [`Handler`], as the Go package evio
//! does. Shows that this style needs no runtime of its own.
//!
//! ```text
//! cargo run -p wakeful-examples --example handlers
//! nc 127.0.0.1 8080                # `quit` closes the connection, `stop` ends the server
//! ```
//!
//! ```text
//!   evio                                here
//!   Opened(c) (out, opts, action)       opened(peer, out) -> Action
//!   Data(c, in) (out, action)           data(peer, input, out) -> Action
//!   Closed(c, err) action               closed(peer, error)
//!   Tick() (delay, action)              tick() -> (Duration, Action)
//! ```
//!
//! An echo server needs `data` only, with a body of two lines; the others are there to show them.
//!
//! A callback runs without a pause, so it needs no lock, and it cannot wait. What it appends to `out`
//! is sent before the next callback of the same connection. So a client that does not read is not
//! read from, and memory stays bounded. Logic that waits between two steps becomes a state machine in
//! this style; an `async` function keeps those states on its own.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::or;
use wakeful::Shutdown;
use wakeful::signal::ctrl_c;
use wakeful::time::sleep;
use wakeful_examples::{address, finish};
use wakeful_net::{TcpListener, TcpStream, serve};

// --- user code --------------------------------------------------------------------------------------

/// Sends everything back. Prints the number of clients when it has changed.
#[derive(Default)]
struct Echo {
    clients: BTreeSet<SocketAddr>,
    printed: usize,
}

impl Handler for Echo {
    fn opened(&mut self, peer: SocketAddr, _out: &mut Vec<u8>) -> Action {
        self.clients.insert(peer);
        Action::Continue
    }

    fn data(&mut self, _peer: SocketAddr, input: &[u8], out: &mut Vec<u8>) -> Action {
        out.extend_from_slice(input);
        match input {
            b"quit\n" => Action::Close,
            b"stop\n" => Action::Shutdown,
            _ => Action::Continue,
        }
    }

    fn closed(&mut self, peer: SocketAddr, error: Option<&io::Error>) {
        self.clients.remove(&peer);
        if let Some(error) = error {
            eprintln!("{peer}: {error}");
        }
    }

    fn tick(&mut self) -> (Duration, Action) {
        let clients = self.clients.len();
        if clients != std::mem::replace(&mut self.printed, clients) {
            println!("clients: {clients}");
        }
        (Duration::from_millis(100), Action::Continue)
    }
}

fn main() -> ExitCode {
    let address = address(1, "127.0.0.1:8080");
    finish(wakeful::block_on(run(&address, Echo::default())))
}

// --- the server that calls it -----------------------------------------------------------------------

/// What happens after a callback, once its output is sent.
#[derive(Clone, Copy, PartialEq)]
enum Action {
    Continue,
    /// Closes the connection. After `tick`: no effect.
    Close,
    /// Ends the server and all connections.
    Shutdown,
}

/// The callbacks. All but `data` can be left out.
trait Handler {
    fn opened(&mut self, _peer: SocketAddr, _out: &mut Vec<u8>) -> Action {
        Action::Continue
    }

    fn data(&mut self, peer: SocketAddr, input: &[u8], out: &mut Vec<u8>) -> Action;

    fn closed(&mut self, _peer: SocketAddr, _error: Option<&io::Error>) {}

    /// Returns the time until the next call.
    fn tick(&mut self) -> (Duration, Action) {
        (Duration::MAX, Action::Continue)
    }
}

async fn run(address: &str, handler: impl Handler + 'static) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    let handler = Rc::new(RefCell::new(handler));
    let shutdown = Shutdown::new();
    let ticks = wakeful::spawn(tick(Rc::clone(&handler), shutdown.clone()));
    let (in_handler, in_signal) = (shutdown.clone(), shutdown.clone());
    serve(listener, async move |stream, peer| {
        let outcome = in_handler
            .run_until_cancelled(connection(&stream, peer, &handler))
            .await;
        let error = match outcome {
            Some(Ok(Action::Shutdown)) => {
                in_handler.cancel();
                None
            }
            Some(Err(error)) => Some(error),
            Some(Ok(_)) | None => None,
        };
        handler.borrow_mut().closed(peer, error.as_ref());
    })
    .on_accept_error(|error| eprintln!("accept: {error}"))
    .with_graceful_shutdown(async move {
        let interrupted = async {
            ctrl_c().await.ok(); // an error: there is no other way to end, so it ends now
        };
        or(interrupted, in_signal.cancelled()).await;
        in_signal.cancel();
    })
    .await?;
    ticks.await?;
    Ok(())
}

/// Calls `opened` and then `data` for each piece of input, until the end of the stream or until a
/// callback returns another action than `Continue`.
async fn connection(
    stream: &TcpStream,
    peer: SocketAddr,
    handler: &RefCell<impl Handler>,
) -> io::Result<Action> {
    let mut input = vec![0; 16 * 1024];
    let mut out = Vec::new();
    // The handler is borrowed for the callback only, never while the task waits.
    let mut action = handler.borrow_mut().opened(peer, &mut out);
    loop {
        stream.write_all(&out).await?;
        out.clear();
        if action != Action::Continue {
            return Ok(action);
        }
        let length = stream.read(&mut input).await?;
        if length == 0 {
            return Ok(Action::Close);
        }
        action = handler.borrow_mut().data(peer, &input[..length], &mut out);
    }
}

/// Calls `tick` until the shutdown.
async fn tick(handler: Rc<RefCell<impl Handler>>, shutdown: Shutdown) {
    while !shutdown.is_cancelled() {
        let (delay, action) = handler.borrow_mut().tick();
        if action == Action::Shutdown {
            shutdown.cancel();
        }
        shutdown.run_until_cancelled(sleep(delay)).await;
    }
}
