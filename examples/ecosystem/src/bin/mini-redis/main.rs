//! A small Redis server on redis-protocol: PING, ECHO, GET, SET, DEL.
//!
//! ```text
//! cargo run --bin mini-redis
//! redis-cli -p 6380 set greeting hello              # in a second terminal; then: get greeting
//! ```
//!
//! A protocol takes a parser (`resp`), a buffer, reads and writes. redis-protocol works on byte
//! slices and needs no feature of `wakeful-net`. Everything has a limit: the size of a command, the
//! replies that a client has not read yet, and the size of the store.

mod resp;
mod store;

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;

use ecosystem_common::{ConnectionResult, serve};
use resp::Reply;
use store::Store;
use wakeful::Shutdown;
use wakeful_net::TcpStream;

/// Size of collected replies after which they are written. Collecting makes a pipeline cost one
/// write instead of one per command. The last reply can exceed the limit.
const REPLIES_PER_WRITE: usize = 64 * 1024;

fn main() -> ExitCode {
    // One thread, so no lock. A task never awaits while it has borrowed the store.
    let store = Rc::new(RefCell::new(Store::default()));
    serve("127.0.0.1:6380", move |stream, shutdown| {
        connection(stream, Rc::clone(&store), shutdown)
    })
}

async fn connection(
    stream: TcpStream,
    store: Rc<RefCell<Store>>,
    shutdown: Shutdown,
) -> ConnectionResult {
    // Begins with the first byte of an incomplete command.
    let mut received = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    let mut replies = Vec::new();
    loop {
        let mut done = 0;
        loop {
            let command = match resp::parse(&received[done..]) {
                Ok(None) => break,
                Ok(Some(command)) => command,
                // The connection has to end: the beginning of the next command is unknown.
                Err(reason) => {
                    let reply = resp::error(format_args!("Protocol error: {reason}"));
                    resp::append(&reply, &mut replies)?;
                    stream.write_all(&replies).await?;
                    return Ok(());
                }
            };
            done += command.length;
            if let Some((name, arguments)) = command.words.split_first() {
                let reply = execute(name, arguments, &mut store.borrow_mut());
                resp::append(&reply, &mut replies)?;
            }
            if replies.len() >= REPLIES_PER_WRITE {
                // While a client does not read its replies, its next commands are not read: TCP
                // stops it.
                stream.write_all(&replies).await?;
                replies.clear();
            }
        }
        received.drain(..done);
        if !replies.is_empty() {
            stream.write_all(&replies).await?;
            replies.clear();
        }
        // An idle connection does not keep the memory of a large command or reply.
        received.shrink_to(2 * chunk.len());
        replies.shrink_to(2 * REPLIES_PER_WRITE);

        let reading = shutdown.run_until_cancelled(stream.read(&mut chunk));
        let n = reading.await.unwrap_or(Ok(0))?;
        if n == 0 {
            return Ok(()); // the client or this server ends; an incomplete command is dropped
        }
        received.extend_from_slice(&chunk[..n]);
    }
}

/// Executes a command and returns its reply.
fn execute(name: &[u8], arguments: &[&[u8]], store: &mut Store) -> Reply {
    let name = String::from_utf8_lossy(name).to_lowercase();
    match (&*name, arguments) {
        ("ping", []) => Reply::SimpleString(b"PONG".to_vec()),
        ("ping" | "echo", [text]) => Reply::BulkString(text.to_vec()),
        ("get", [key]) => match store.get(key) {
            Some(value) => Reply::BulkString(value.to_vec()),
            None => Reply::Null,
        },
        ("set", [key, value]) => match store.set(key, value) {
            Ok(()) => Reply::SimpleString(b"OK".to_vec()),
            Err(store::Full) => resp::error("the store is full; delete a key first"),
        },
        ("set", [_, _, _, ..]) => resp::error("syntax error: SET options are not supported"),
        ("del", [_, ..]) => {
            let deleted = arguments.iter().filter(|key| store.delete(key)).count();
            Reply::Integer(i64::try_from(deleted).unwrap_or(i64::MAX))
        }
        ("ping" | "echo" | "get" | "set" | "del", _) => resp::error(format_args!(
            "wrong number of arguments for '{name}' command"
        )),
        _ => resp::error(format_args!("unknown command '{}'", resp::printable(&name))),
    }
}
