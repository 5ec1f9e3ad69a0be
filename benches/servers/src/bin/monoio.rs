//! The echo server on monoio with its epoll implementation ("legacy"). Each operation takes ownership
//! of the buffer and returns it with the result.

use std::error::Error;
use std::io;

use bench_servers::{Start, log_outcome};
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use monoio::{LegacyDriver, RuntimeBuilder};

fn main() -> Result<(), Box<dyn Error>> {
    let start = Start::from_command_line()?;
    let mut runtime = RuntimeBuilder::<LegacyDriver>::new().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(start.listener)?;
        loop {
            let (stream, _peer) = listener.accept().await?;
            monoio::spawn(async move { log_outcome(echo(stream, start.buffer).await) });
        }
    })
}

async fn echo(mut stream: TcpStream, size: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer: Vec<u8> = Vec::with_capacity(size);
    loop {
        let (outcome, filled) = stream.read(buffer).await;
        if outcome? == 0 {
            return Ok(());
        }
        let (outcome, mut emptied) = stream.write_all(filled).await;
        outcome?;
        emptied.clear();
        buffer = emptied;
    }
}
