//! Connects standard input and output to a TCP server, or to a client, as nc does.
//!
//! ```text
//! cargo run -p wakeful-examples --example echo                     # a server
//! cargo run -p wakeful-examples --example netcat -- 127.0.0.1:8080
//!
//! cargo run -p wakeful-examples --example netcat -- -l 127.0.0.1:8081 > copy
//! cargo run -p wakeful-examples --example netcat -- 127.0.0.1:8081 < file
//! ```
//!
//! The end of the input is passed on as a half close, and the answer is still received. So both
//! directions are copied at once, each until its own end. There is one exception: if the input is a
//! terminal, the program ends with the peer, because the terminal would not end by itself.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use futures_lite::future::{or, try_zip};
use wakeful::io::{copy, stdin, stdout};
use wakeful_examples::{finish, usage};
use wakeful_net::{TcpListener, TcpStream};

/// Time limit of a connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    finish(wakeful::block_on(run()))
}

async fn run() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(|argument| &**argument).collect();
    let stream = match arguments[..] {
        [address] if !address.starts_with('-') => {
            TcpStream::connect_timeout(address, CONNECT_TIMEOUT).await?
        }
        ["-l", address] => accept(address).await?,
        _ => {
            return Err(usage(
                "the arguments are HOST:PORT, or -l ADDRESS:PORT to listen",
            ));
        }
    };
    // Each line is sent as it was typed.
    stream.set_nodelay(true)?;
    let sending = send(&stream);
    let receiving = receive(&stream);
    if io::stdin().is_terminal() {
        or(receiving, async {
            sending.await?;
            std::future::pending().await
        })
        .await
    } else {
        try_zip(sending, receiving).await.map(drop)
    }
}

/// Waits for one client, and closes the listener, so that later ones are refused.
async fn accept(address: &str) -> io::Result<TcpStream> {
    let listener = TcpListener::bind(address).await?;
    // Standard output is for the client's bytes.
    eprintln!("listening on {}", listener.local_addr()?);
    let (stream, peer) = listener.accept().await.map_err(named("accept"))?;
    drop(listener);
    eprintln!("connection from {peer}");
    Ok(stream)
}

/// Copies the input to the peer, then closes this direction.
async fn send(stream: &TcpStream) -> io::Result<()> {
    copy(&mut stdin(), &mut &*stream)
        .await
        .map_err(named("copy to the peer"))?;
    stream
        .shutdown()
        .await
        .map_err(named("close the direction to the peer"))
}

/// Copies what the peer sends to the output.
async fn receive(stream: &TcpStream) -> io::Result<()> {
    copy(&mut &*stream, &mut stdout())
        .await
        .map_err(named("copy from the peer"))?;
    Ok(())
}

/// Returns a function that puts the operation in front of an error.
fn named(operation: &'static str) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{operation}: {error}"))
}
