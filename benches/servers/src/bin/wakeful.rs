//! The echo server on Wakeful, as in its README: one spawned task per connection, each with its own
//! buffer. (The program `echo-server`, which shares one buffer, is measured as well.)

use std::error::Error;
use std::io;

use bench_servers::{Start, log_outcome};
use wakeful_net::{TcpListener, TcpStream};

fn main() -> Result<(), Box<dyn Error>> {
    let start = Start::from_command_line()?;
    wakeful::block_on(async {
        let listener = TcpListener::from_std(start.listener)?;
        loop {
            let (stream, _peer) = listener.accept().await?;
            wakeful::spawn(async move { log_outcome(echo(stream, start.buffer).await) });
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
