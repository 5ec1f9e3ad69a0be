//! The echo server on tokio's current-thread runtime: one spawned task per connection.

use std::error::Error;
use std::io;

use bench_servers::{Start, log_outcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn main() -> Result<(), Box<dyn Error>> {
    let start = Start::from_command_line()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(start.listener)?;
        loop {
            let (stream, _peer) = listener.accept().await?;
            tokio::spawn(async move { log_outcome(echo(stream, start.buffer).await) });
        }
    })
}

async fn echo(mut stream: TcpStream, size: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; size];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length]).await?,
        }
    }
}
