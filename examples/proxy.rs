//! A TCP relay: every client is connected to another server, and bytes go both ways.
//!
//! ```text
//! cargo run -p wakeful-examples --example echo                 # the server behind it
//! cargo run -p wakeful-examples --example proxy -- 127.0.0.1:8081 127.0.0.1:8080
//! nc 127.0.0.1 8081
//! ```
//!
//! Two things are easy to get wrong, and right here:
//!
//! - **Half close.** When one side has finished sending, the other is told so, and may still answer:
//!   the two directions end independently.
//! - **Backpressure.** A direction reads no more before it has written what it read. When one side is
//!   slow, the other is slowed down by TCP itself, and the proxy holds one buffer per direction,
//!   however much is sent.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use futures_lite::future::try_zip;
use wakeful::time::sleep;
use wakeful_examples::address;
use wakeful_net::{TcpListener, TcpStream};

fn main() -> io::Result<()> {
    wakeful::block_on(async {
        let listener = TcpListener::bind(address(1, "127.0.0.1:8081")).await?;
        let target = address(2, "127.0.0.1:8080");
        println!("listening on {}", listener.local_addr()?);
        loop {
            match listener.accept().await {
                Ok((client, peer)) => {
                    let target = target.clone();
                    drop(wakeful::spawn(async move {
                        match relay(&client, &target).await {
                            Ok((sent, received)) => {
                                println!("{peer}: {sent} there, {received} back")
                            }
                            Err(error) => eprintln!("{peer}: {error}"),
                        }
                    }));
                }
                Err(error) => {
                    eprintln!("accept: {error}");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    })
}

/// Connects a client with the target until both directions have ended, or one has failed.
async fn relay(client: &TcpStream, target: &str) -> io::Result<(u64, u64)> {
    let server = TcpStream::connect(target).await?;
    // Small packets are passed on as they come; whoever sent them did not want to wait.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    try_zip(pass_on(client, &server), pass_on(&server, client)).await
}

/// One direction: reads until the end of the stream, and passes that on as well.
async fn pass_on(from: &TcpStream, to: &TcpStream) -> io::Result<u64> {
    let mut buffer = vec![0; 16 * 1024];
    let mut bytes = 0;
    loop {
        let n = from.read(&mut buffer).await?;
        if n == 0 {
            to.shutdown(Shutdown::Write)?;
            return Ok(bytes);
        }
        to.write_all(&buffer[..n]).await?;
        bytes += n as u64;
    }
}
