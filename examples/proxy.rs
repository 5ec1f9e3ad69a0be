//! A TCP relay: every client is connected to another server, and bytes go both ways.
//!
//! ```text
//! cargo run -p wakeful-examples --example echo                     # the server behind it
//! cargo run -p wakeful-examples --example proxy -- 127.0.0.1:8081 127.0.0.1:8080
//! nc 127.0.0.1 8081
//! ```
//!
//! Three things are easy to get wrong. The first two are done by `wakeful::io::copy_bidirectional`:
//!
//! - **Half close.** When one side has finished sending, the other is told so, and may still answer:
//!   the two directions end independently.
//! - **Backpressure.** A direction reads no more before it has written what it read. When one side is
//!   slow, the other is slowed down by TCP itself, and the proxy holds one buffer at most per direction,
//!   however much is sent; while nothing is sent, none.
//! - **Failure.** When one side breaks off, the other gets a reset, not the end of the stream, which
//!   would say that this was all there is.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use wakeful::io::copy_bidirectional;
use wakeful::time::sleep;
use wakeful_examples::{address, finish};
use wakeful_net::{TcpListener, TcpStream};

/// How long a target may take to answer a connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    finish(wakeful::block_on(serve()))
}

async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind(address(1, "127.0.0.1:8081")).await?;
    let target = address(2, "127.0.0.1:8080");
    println!("listening on {}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((client, peer)) => {
                let target = target.clone();
                drop(wakeful::spawn(async move {
                    match relay(&client, &target).await {
                        Ok((sent, received)) => println!("{peer}: {sent} there, {received} back"),
                        Err(error) => eprintln!("{peer}: {error}"),
                    }
                }));
            }
            // Out of descriptors, most likely: the clients wait, and so do we.
            Err(error) => {
                eprintln!("accept: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Connects a client with the target until both directions have ended, or one has failed.
async fn relay(client: &TcpStream, target: &str) -> io::Result<(u64, u64)> {
    let server = TcpStream::connect_timeout(target, CONNECT_LIMIT)
        .await
        .inspect_err(|_| reset_when_closed(client))?;
    // Small packets are passed on as they come; whoever sent them did not want to wait.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    copy_bidirectional(&mut &*client, &mut &server)
        .await
        .inspect_err(|_| {
            reset_when_closed(client);
            reset_when_closed(&server);
        })
}

fn reset_when_closed(stream: &TcpStream) {
    // Whatever is wrong with the stream, it is about to be closed.
    stream.set_zero_linger().ok();
}
