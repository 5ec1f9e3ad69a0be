//! A TCP proxy: connects each client to a target server and copies bytes in both directions.
//!
//! ```text
//! cargo run -p wakeful-examples --example echo                     # the target server
//! cargo run -p wakeful-examples --example proxy -- 127.0.0.1:8081 127.0.0.1:8080
//! nc 127.0.0.1 8081
//! ```
//!
//! A proxy needs three things. `wakeful_net::io::copy_bidirectional` does the first two:
//!
//! - **Half close.** The end of one side's stream is passed on to the other side, which can still
//!   answer: the two directions end independently.
//! - **Backpressure.** A direction does not read until it has written the bytes of its last read.
//!   When one side is slow, TCP slows down the other. The proxy holds at most one buffer or
//!   pipe per direction, for any amount of data, and none while no data is in transit.
//! - **Failure.** When one side fails, the other gets a reset. The end of the stream would mean
//!   that the data is complete.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use wakeful::time::sleep;
use wakeful_examples::{address, finish};
use wakeful_net::io::copy_bidirectional;
use wakeful_net::{TcpListener, TcpStream};

/// Time limit of a connect to the target.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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
                        Ok((sent, received)) => {
                            println!("{peer}: {sent} sent, {received} received")
                        }
                        Err(error) => eprintln!("{peer}: {error}"),
                    }
                }));
            }
            // Most likely out of descriptors: the next attempt comes after a pause.
            Err(error) => {
                eprintln!("accept: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Connects to the target and copies until both directions have ended or one has failed.
///
/// Returns the numbers of bytes sent to the target and received from it.
async fn relay(client: &TcpStream, target: &str) -> io::Result<(u64, u64)> {
    let server = TcpStream::connect_timeout(target, CONNECT_TIMEOUT)
        .await
        .inspect_err(|_| reset_when_closed(client))?;
    // Passes small packets on at once: the sender did not delay them either.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    copy_bidirectional(client, &server).await.inspect_err(|_| {
        reset_when_closed(client);
        reset_when_closed(&server);
    })
}

/// Makes the coming close send a reset.
fn reset_when_closed(stream: &TcpStream) {
    // An error can be ignored: the stream is closed in any case.
    stream.set_zero_linger().ok();
}
