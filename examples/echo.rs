//! A minimal server: it sends back all bytes that a client sends.
//!
//! ```text
//! cargo run -p wakeful-examples --example echo
//! nc 127.0.0.1 8080                                # in a second terminal, and a third
//! cargo run -p wakeful-examples --example echo -- "[::1]:7777"     # another address
//! ```
//!
//! Each connection has a task, written as plain `async` code. On Ctrl-C the server stops accepting
//! and waits for the tasks to finish. The program `echo-server` adds the limits, signals and log of
//! a production server, in the same style.

use std::io;
use std::process::ExitCode;

use wakeful::signal::ctrl_c;
use wakeful_examples::{address, finish};
use wakeful_net::{TcpListener, TcpStream, serve};

fn main() -> ExitCode {
    finish(wakeful::block_on(run()))
}

async fn run() -> io::Result<()> {
    let listener = TcpListener::bind(address(1, "127.0.0.1:8080")).await?;
    println!("listening on {}", listener.local_addr()?);
    let cut_off = serve(listener, async |stream, peer| match echo(stream).await {
        Ok(bytes) => println!("{peer}: {bytes} bytes"),
        Err(error) => eprintln!("{peer}: {error}"),
    })
    // Most likely out of descriptors: `serve` pauses and tries again, and the clients wait.
    .on_accept_error(|error| eprintln!("accept: {error}"))
    .with_graceful_shutdown(ctrl_c())
    .await?;
    if cut_off > 0 {
        eprintln!("shutdown timeout: {cut_off} connections closed early");
    }
    Ok(())
}

/// Sends everything back until the end of the stream and returns the number of bytes.
async fn echo(stream: TcpStream) -> io::Result<u64> {
    let mut buffer = vec![0; 16 * 1024];
    let mut bytes = 0;
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return Ok(bytes);
        }
        stream.write_all(&buffer[..n]).await?;
        bytes += n as u64;
    }
}
