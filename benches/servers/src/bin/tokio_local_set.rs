//! The echo server on a tokio `LocalSet`, whose tasks need not be `Send`.

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
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = TcpListener::from_std(start.listener)?;
        loop {
            let (stream, _peer) = listener.accept().await?;
            tokio::task::spawn_local(async move { log_outcome(echo(stream, start.buffer).await) });
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
