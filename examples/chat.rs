//! A chat: what one client writes, all the others read. How to write to a connection from
//! elsewhere.
//!
//! ```text
//! cargo run -p wakeful-examples --example chat
//! nc 127.0.0.1 8080                               # in two more terminals; the first line is a name
//! ```
//!
//! Each client has a task that does two things at once: it reads the client's lines, and it writes
//! what comes out of the client's channel. Whoever has something for a client puts it into that
//! channel and never waits for the client. The channel (`async-channel`) is bounded: a client that
//! does not read fills it up and is put out, and nobody else notices. All of it lives on one thread,
//! so the table of clients needs no lock.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::future::or;
use wakeful::time::sleep;
use wakeful_examples::{address, finish};
use wakeful_net::{TcpListener, TcpStream};

/// Lines that may wait for a slow client.
const LINES_WAITING: usize = 128;
/// The longest line.
const LINE_BYTES: usize = 1024;

/// A line on its way to many clients, shared by them.
type Line = Rc<str>;

/// Who is here.
#[derive(Default)]
struct Room {
    clients: RefCell<BTreeMap<SocketAddr, Client>>,
}

struct Client {
    lines: Sender<Line>,
    stream: Rc<TcpStream>,
}

fn main() -> ExitCode {
    finish(wakeful::block_on(serve()))
}

async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind(address(1, "127.0.0.1:8080")).await?;
    println!("listening on {}", listener.local_addr()?);
    let room = Rc::new(Room::default());
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let room = Rc::clone(&room);
                drop(wakeful::spawn(async move {
                    if let Err(error) = visit(Rc::new(stream), peer, &room).await {
                        eprintln!("{peer}: {error}");
                    }
                }));
            }
            // Out of descriptors, most likely: the clients wait, and so do we.
            Err(error) => {
                eprintln!("accept: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// A client's stay, from its name to its end.
async fn visit(stream: Rc<TcpStream>, peer: SocketAddr, room: &Room) -> io::Result<()> {
    let mut unread = Vec::new();
    let Some(name) = read_line(&stream, &mut unread).await? else {
        return Ok(());
    };
    let (lines, waiting) = async_channel::bounded(LINES_WAITING);
    let client = Client {
        lines,
        stream: Rc::clone(&stream),
    };
    room.clients.borrow_mut().insert(peer, client);
    room.broadcast(peer, &format!("* {name} is here"));
    // Whichever ends first ends the other: nothing is written to a client that has left.
    let outcome = or(
        read_lines(&stream, &mut unread, |line| {
            room.broadcast(peer, &format!("{name}: {line}"));
        }),
        write_lines(&stream, waiting),
    )
    .await;
    room.clients.borrow_mut().remove(&peer);
    room.broadcast(peer, &format!("* {name} has left"));
    outcome
}

impl Room {
    /// Gives a line to everybody but its author. Never waits.
    fn broadcast(&self, from: SocketAddr, line: &str) {
        println!("{line}");
        let line: Line = format!("{line}\n").into();
        for (peer, client) in self
            .clients
            .borrow()
            .iter()
            .filter(|(peer, _)| **peer != from)
        {
            if client.lines.try_send(Rc::clone(&line)).is_err() {
                // Too slow. Its task sees the end of the stream, and takes it off the table.
                eprintln!("{peer} does not read, and is put out");
                client.stream.shutdown_now(Shutdown::Both).ok();
            }
        }
    }
}

/// Reads a client's lines until it leaves.
async fn read_lines(
    stream: &TcpStream,
    unread: &mut Vec<u8>,
    say: impl Fn(String),
) -> io::Result<()> {
    while let Some(line) = read_line(stream, unread).await? {
        say(line);
    }
    Ok(())
}

/// The next line without its end, in printable form; `None` at the end of the stream.
async fn read_line(stream: &TcpStream, unread: &mut Vec<u8>) -> io::Result<Option<String>> {
    loop {
        if let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = unread.drain(..=end).collect();
            let text = String::from_utf8_lossy(line.trim_ascii_end());
            // Control characters would act on the terminals of the others.
            return Ok(Some(text.chars().filter(|c| !c.is_control()).collect()));
        }
        if unread.len() > LINE_BYTES {
            let message = format!("a line of more than {LINE_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let mut buffer = [0; 512];
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return Ok(None);
        }
        unread.extend_from_slice(&buffer[..n]);
    }
}

/// Writes what comes out of the channel.
async fn write_lines(stream: &TcpStream, lines: Receiver<Line>) -> io::Result<()> {
    while let Ok(line) = lines.recv().await {
        stream.write_all(line.as_bytes()).await?;
    }
    Ok(())
}
