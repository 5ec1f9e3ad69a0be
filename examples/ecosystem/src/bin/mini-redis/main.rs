//! A store that redis-cli talks to: PING, ECHO, GET, SET, DEL.
//!
//! ```text
//! cargo run --bin mini-redis
//! redis-cli -p 6380 set greeting hello              # in a second terminal; then: get greeting
//! ```
//!
//! No crate but Wakeful's: a protocol of one's own is a parser (`resp`), a buffer, and reads and
//! writes. Everything has a limit: what a client sends in one command, what it is owed before it
//! reads, and what the store holds.

mod resp;
mod store;

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;

use resp::{Parsed, Reply};
use store::Store;
use wakeful_ecosystem::{Ended, serve};
use wakeful_net::TcpStream;

/// Answers are collected up to here, so that a pipeline costs one write and not one per command. At
/// most one more answer goes beyond.
const ANSWERS: usize = 64 * 1024;

fn main() -> ExitCode {
    // One thread, so no lock: a task that has it borrowed does not wait for anything.
    let store = Rc::new(RefCell::new(Store::default()));
    serve("127.0.0.1:6380", move |stream| {
        connection(stream, Rc::clone(&store))
    })
}

async fn connection(stream: TcpStream, store: Rc<RefCell<Store>>) -> Ended {
    // What has come and is not a whole command yet stays at the front.
    let mut received = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    let mut answers = Vec::new();
    loop {
        let mut done = 0;
        loop {
            let (taken, reply) = match resp::parse(&received[done..]) {
                Parsed::Incomplete => break,
                Parsed::Nothing(taken) => (taken, None),
                Parsed::Command(taken, words) => {
                    (taken, Some(answer(&words, &mut store.borrow_mut())))
                }
                // There is no telling where the next command begins.
                Parsed::Wrong(why) => {
                    Reply::Error(format!("Protocol error: {why}")).write(&mut answers);
                    stream.write_all(&answers).await?;
                    return Ok(());
                }
            };
            done += taken;
            if let Some(reply) = reply {
                reply.write(&mut answers);
            }
            if answers.len() >= ANSWERS {
                // Whoever does not read its answers is not read from: TCP tells it to wait.
                stream.write_all(&answers).await?;
                answers.clear();
            }
        }
        received.drain(..done);
        if !answers.is_empty() {
            stream.write_all(&answers).await?;
            answers.clear();
        }
        // What a large command or answer needed is not kept for a connection at rest.
        received.shrink_to(2 * chunk.len());
        answers.shrink_to(2 * ANSWERS);

        let n = stream.read(&mut chunk).await?;
        if n == 0 {
            return Ok(()); // half a command, if there is one, is nobody's any more
        }
        received.extend_from_slice(&chunk[..n]);
    }
}

/// Does one command.
fn answer(words: &[&[u8]], store: &mut Store) -> Reply {
    let Some((name, arguments)) = words.split_first() else {
        return Reply::Error("empty command".to_owned());
    };
    let name = String::from_utf8_lossy(name).to_lowercase();
    match (&*name, arguments) {
        ("ping", []) => Reply::Status("PONG"),
        ("ping" | "echo", [text]) => Reply::Bulk(text.to_vec()),
        ("get", [key]) => match store.get(key) {
            Some(value) => Reply::Bulk(value.to_vec()),
            None => Reply::Null,
        },
        ("set", [key, value]) => match store.set(key, value) {
            Ok(()) => Reply::Status("OK"),
            Err(store::Full) => {
                Reply::Error("the store is full; delete something first".to_owned())
            }
        },
        ("set", [_, _, _, ..]) => Reply::Error("syntax error: SET has no options here".to_owned()),
        ("del", [_, ..]) => Reply::Number(arguments.iter().filter(|key| store.delete(key)).count()),
        ("ping" | "echo" | "get" | "set" | "del", _) => {
            Reply::Error(format!("wrong number of arguments for '{name}' command"))
        }
        _ => Reply::Error(format!("unknown command '{}'", resp::printable(&name))),
    }
}
