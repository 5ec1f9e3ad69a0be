//! A chat: what one client writes, all the others read. How to write to a connection from
//! elsewhere.
//!
//! ```text
//! cargo run -p wakeful-examples --example chat
//! nc 127.0.0.1 8080                               # in two more terminals; the first line is a name
//! ```
//!
//! Each client has two tasks: one reads its lines, the other writes what comes out of its channel.
//! Whoever has something for a client puts it into that channel and never waits for the client. The
//! channel (`async-channel`) is bounded: a client that does not read fills it up and is put out,
//! and nobody else notices. All of it lives on one thread, so the table of clients needs no lock.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

use async_channel::{Receiver, Sender};
use wakeful_examples::address;
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

fn main() -> io::Result<()> {
    wakeful::block_on(async {
        let listener = TcpListener::bind(address(1, "127.0.0.1:8080")).await?;
        println!("listening on {}", listener.local_addr()?);
        let room = Rc::new(Room::default());
        loop {
            let (stream, peer) = listener.accept().await?;
            let room = Rc::clone(&room);
            drop(wakeful::spawn(async move {
                let stream = Rc::new(stream);
                let (lines, waiting) = async_channel::bounded(LINES_WAITING);
                let writer = wakeful::spawn(write_lines(Rc::clone(&stream), waiting));
                let client = Client {
                    lines,
                    stream: Rc::clone(&stream),
                };
                room.clients.borrow_mut().insert(peer, client);
                if let Err(error) = read_lines(&stream, peer, &room).await {
                    eprintln!("{peer}: {error}");
                }
                // Closes the channel; the writer writes what is still in it, and ends.
                room.clients.borrow_mut().remove(&peer);
                if let Err(error) = writer.await {
                    eprintln!("{peer}: {error}");
                }
            }));
        }
    })
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
                // Too slow. Its reader sees the end of the stream and takes it off the table.
                eprintln!("{peer} does not read, and is put out");
                client.stream.shutdown(Shutdown::Both).ok();
            }
        }
    }
}

/// Reads a client's lines until it leaves. The first is its name.
async fn read_lines(stream: &TcpStream, peer: SocketAddr, room: &Room) -> io::Result<()> {
    let mut unread = Vec::new();
    let Some(name) = read_line(stream, &mut unread).await? else {
        return Ok(());
    };
    room.broadcast(peer, &format!("* {name} is here"));
    let outcome = loop {
        match read_line(stream, &mut unread).await {
            Ok(Some(line)) => room.broadcast(peer, &format!("{name}: {line}")),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    room.broadcast(peer, &format!("* {name} has left"));
    outcome
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

/// Writes what comes out of the channel until it is closed.
async fn write_lines(stream: Rc<TcpStream>, lines: Receiver<Line>) {
    while let Ok(line) = lines.recv().await {
        if stream.write_all(line.as_bytes()).await.is_err() {
            // The reader sees the same and says so.
            break;
        }
    }
}
