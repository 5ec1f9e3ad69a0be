//! The echo server on smol: a `LocalExecutor`, with the sockets of async-net over async-io.

use std::error::Error;
use std::io;

use bench_servers::{Start, log_outcome};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};
use smol::{Async, LocalExecutor};

fn main() -> Result<(), Box<dyn Error>> {
    let start = Start::from_command_line()?;
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let listener = TcpListener::from(Async::new(start.listener)?);
        loop {
            let (stream, _peer) = listener.accept().await?;
            let buffer = start.buffer;
            executor
                .spawn(async move { log_outcome(echo(stream, buffer).await) })
                .detach();
        }
    }))
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
