//! The echo server without a runtime: one blocking thread per connection.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;

use bench_servers::{Start, log_outcome};

fn main() -> Result<(), Box<dyn Error>> {
    let start = Start::from_command_line()?;
    start.listener.set_nonblocking(false)?;
    loop {
        let (stream, _peer) = start.listener.accept()?;
        thread::Builder::new().spawn(move || log_outcome(echo(stream, start.buffer)))?;
    }
}

fn echo(mut stream: TcpStream, size: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; size];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length])?,
        }
    }
}
