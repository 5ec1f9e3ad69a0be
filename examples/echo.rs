//! A minimal server: it sends back all bytes that a client sends.
//!
//! ```text
//! cargo run -p wakeful-examples --example echo
//! nc 127.0.0.1 8080                                # in a second terminal, and a third
//! cargo run -p wakeful-examples --example echo -- "[::1]:7777"     # another address
//! ```
//!
//! Each connection has a task, written as plain `async` code. On Ctrl-C the server stops accepting,
//! ends the connections that wait for their client, and gives the others five seconds. A second
//! Ctrl-C aborts those. The program `echo-server` adds the limits, signals and log of
//! a production server, in the same style.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use wakeful::Shutdown;
use wakeful::signal::ctrl_c;
use wakeful_examples::{address, finish};
use wakeful_net::{TcpListener, TcpStream, serve};

fn main() -> ExitCode {
    finish(wakeful::block_on(run()))
}

async fn run() -> io::Result<()> {
    let listener = TcpListener::bind(address(1, "127.0.0.1:8080")).await?;
    println!("listening on {}", listener.local_addr()?);
    let shutdown = Shutdown::new();
    let in_handler = shutdown.clone();
    let aborted = serve(listener, async move |stream, peer| {
        match echo(stream, &in_handler).await {
            Ok(bytes) => println!("{peer}: {bytes} bytes"),
            Err(error) => eprintln!("{peer}: {error}"),
        }
    })
    // Most likely out of descriptors: `serve` pauses and tries again, and the clients wait.
    .on_accept_error(|error| eprintln!("accept: {error}"))
    .with_graceful_shutdown(async move {
        ctrl_c().await.ok(); // an error: there is no other way to end, so it ends now
        eprintln!("shutting down: busy connections have 5 seconds; Ctrl-C again aborts them");
        shutdown.cancel();
    })
    .shutdown_timeout(Duration::from_secs(5))
    .with_forced_shutdown(ctrl_c)
    .await?;
    if aborted > 0 {
        eprintln!("connections aborted: {aborted}");
    }
    Ok(())
}

/// Sends everything back until the end of the stream, or until the shutdown finds it waiting for its
/// client. Returns the number of bytes.
async fn echo(stream: TcpStream, shutdown: &Shutdown) -> io::Result<u64> {
    let mut buffer = vec![0; 16 * 1024];
    let mut bytes = 0;
    while let Some(n) = shutdown.run_until_cancelled(stream.read(&mut buffer)).await {
        let n = n?;
        if n == 0 {
            break;
        }
        stream.write_all(&buffer[..n]).await?;
        bytes += n as u64;
    }
    Ok(bytes)
}
