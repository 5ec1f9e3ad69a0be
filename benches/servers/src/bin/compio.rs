//! The echo server on compio with its epoll implementation ("polling"). Each operation takes ownership
//! of the buffer and returns it with the result.

use std::error::Error;
use std::io;

use bench_servers::{Start, log_outcome};
use compio::buf::BufResult;
use compio::io::{AsyncRead, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::Runtime;

fn main() -> Result<(), Box<dyn Error>> {
    let start = Start::from_command_line()?;
    Runtime::new()?.block_on(async {
        let listener = TcpListener::from_std(start.listener)?;
        loop {
            let (stream, _peer) = listener.accept().await?;
            compio::runtime::spawn(async move { log_outcome(echo(stream, start.buffer).await) })
                .detach();
        }
    })
}

async fn echo(mut stream: TcpStream, size: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer: Vec<u8> = Vec::with_capacity(size);
    loop {
        let BufResult(outcome, filled) = stream.read(buffer).await;
        if outcome? == 0 {
            return Ok(());
        }
        let BufResult(outcome, mut emptied) = stream.write_all(filled).await;
        outcome?;
        emptied.clear();
        buffer = emptied;
    }
}
