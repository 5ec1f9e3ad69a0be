//! The echo server on Wakeful, as its README shows it: one spawned task per connection, each with a
//! buffer of its own. (The program `echo-server`, which shares one buffer, is measured beside it.)

use std::error::Error;
use std::io;

use bench_servers::{Start, ended};
use wakeful_net::{TcpListener, TcpStream};

fn main() -> Result<(), Box<dyn Error>> {
    let start = Start::from_command_line()?;
    wakeful::block_on(async {
        let listener = TcpListener::from_std(start.listener)?;
        loop {
            let (stream, _peer) = listener.accept().await?;
            wakeful::spawn(async move { ended(echo(stream, start.buffer).await) });
        }
    })
}

async fn echo(stream: TcpStream, size: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; size];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length]).await?,
        }
    }
}
