//! A chat: each line of a client is sent to all other clients. Shows how to write to a connection
//! from another task.
//!
//! ```text
//! cargo run -p wakeful-examples --example chat
//! nc 127.0.0.1 8080                        # in two more terminals; the first line is a name
//! ```
//!
//! Each client has a task that does two things at once: it reads the client's lines, and it writes
//! the lines from the client's channel. Other tasks send to that channel and never wait for the
//! client. The channel (`async-channel`) is bounded: a client that does not read fills it and is
//! disconnected, without delay for the other clients. All tasks run on one thread, so the table of
//! clients needs no lock.

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

/// Capacity of a client's channel, in lines.
const QUEUED_LINES: usize = 128;
/// Maximum length of a line.
const MAX_LINE_BYTES: usize = 1024;

/// A line to send, shared by all channels that hold it.
type Line = Rc<str>;

/// The connected clients.
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
                    if let Err(error) = handle_client(Rc::new(stream), peer, &room).await {
                        eprintln!("{peer}: {error}");
                    }
                }));
            }
            // Most likely out of descriptors: the next attempt comes after a pause.
            Err(error) => {
                eprintln!("accept: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves a client from its name to its disconnect.
async fn handle_client(stream: Rc<TcpStream>, peer: SocketAddr, room: &Room) -> io::Result<()> {
    let mut unread = Vec::new();
    let Some(name) = read_line(&stream, &mut unread).await? else {
        return Ok(());
    };
    let (lines, queued) = async_channel::bounded(QUEUED_LINES);
    let client = Client {
        lines,
        stream: Rc::clone(&stream),
    };
    room.clients.borrow_mut().insert(peer, client);
    room.broadcast(peer, &format!("* {name} joined"));
    // `or` drops the other future when one completes: no line is written after the client's end.
    let outcome = or(
        read_lines(&stream, &mut unread, |line| {
            room.broadcast(peer, &format!("{name}: {line}"));
        }),
        write_lines(&stream, queued),
    )
    .await;
    room.clients.borrow_mut().remove(&peer);
    room.broadcast(peer, &format!("* {name} left"));
    outcome
}

impl Room {
    /// Sends a line to all clients except its author. Never waits.
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
                // Its channel is full. Its task sees the end of the stream and removes the client.
                eprintln!("{peer}: disconnected: its queue of {QUEUED_LINES} lines is full");
                client.stream.shutdown_now(Shutdown::Both).ok();
            }
        }
    }
}

/// Calls `on_line` for each line of a client, until the end of its stream.
async fn read_lines(
    stream: &TcpStream,
    unread: &mut Vec<u8>,
    on_line: impl Fn(String),
) -> io::Result<()> {
    while let Some(line) = read_line(stream, unread).await? {
        on_line(line);
    }
    Ok(())
}

/// Returns the next line without its end and without control characters, or `None` at the end of
/// the stream.
async fn read_line(stream: &TcpStream, unread: &mut Vec<u8>) -> io::Result<Option<String>> {
    loop {
        if let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = unread.drain(..=end).collect();
            let text = String::from_utf8_lossy(line.trim_ascii_end());
            // Control characters would act on the terminals of the other clients.
            return Ok(Some(text.chars().filter(|c| !c.is_control()).collect()));
        }
        if unread.len() > MAX_LINE_BYTES {
            let message = format!("read line: longer than {MAX_LINE_BYTES} bytes");
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

/// Writes all lines from the channel to a client.
async fn write_lines(stream: &TcpStream, lines: Receiver<Line>) -> io::Result<()> {
    while let Ok(line) = lines.recv().await {
        stream.write_all(line.as_bytes()).await?;
    }
    Ok(())
}
