//! UDP: a server that sends each datagram back, and a client that repeats its question until it is
//! answered.
//!
//! ```text
//! cargo run -p wakeful-examples --example udp -- serve 127.0.0.1:8080
//! cargo run -p wakeful-examples --example udp -- ask 127.0.0.1:8080 "is anybody there?"
//! ```
//!
//! A datagram can be lost, doubled or late, and the server is no connection that could end. So the
//! client numbers its attempts, waits for a limited time, and ignores answers with another number.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use wakeful::signal::ctrl_c;
use wakeful::time::timeout;
use wakeful_examples::{finish, usage};
use wakeful_net::UdpSocket;

/// Largest payload over IPv4.
const MAX_DATAGRAM: usize = 65_507;
/// Time to wait for an answer. Doubles with each attempt.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const ATTEMPTS: u32 = 4;

fn main() -> ExitCode {
    finish(wakeful::block_on(run()))
}

async fn run() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(|argument| &**argument).collect();
    match arguments[..] {
        ["serve", address] => serve(address).await,
        ["ask", address, text] => ask(address, text).await,
        _ => Err(usage(
            "the arguments are `serve ADDRESS:PORT`, or `ask HOST:PORT TEXT`",
        )),
    }
}

async fn serve(address: &str) -> io::Result<()> {
    let socket = UdpSocket::bind(address).await?;
    println!("listening on {}", socket.local_addr()?);
    let echo = async {
        let mut buffer = vec![0; MAX_DATAGRAM];
        loop {
            // Errors of a server's socket are about one datagram or about memory. Both pass.
            match socket.recv_from(&mut buffer).await {
                Ok((length, peer)) => match socket.send_to(&buffer[..length], peer).await {
                    Ok(_) => println!("{peer}: {length} bytes"),
                    Err(error) => eprintln!("{peer}: {error}"),
                },
                Err(error) => eprintln!("receive: {error}"),
            }
        }
    };
    futures_lite::future::or(echo, ctrl_c()).await
}

async fn ask(address: &str, text: &str) -> io::Result<()> {
    // Connected: the kernel drops datagrams of other senders, and reports a port that is closed.
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    socket.connect(address).await?;
    let mut wait = FIRST_WAIT;
    for attempt in 1..=ATTEMPTS {
        let question = format!("{attempt} {text}");
        socket.send(question.as_bytes()).await?;
        if let Ok(answer) = timeout(wait, answer_to(&socket, &question)).await {
            println!("{}", answer?);
            return Ok(());
        }
        eprintln!("no answer to attempt {attempt} in {wait:?}");
        wait *= 2;
    }
    let message = format!("ask {address}: no answer to {ATTEMPTS} attempts");
    Err(io::Error::new(io::ErrorKind::TimedOut, message))
}

/// Waits for the answer to this attempt.
async fn answer_to(socket: &UdpSocket, question: &str) -> io::Result<String> {
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if &buffer[..length] == question.as_bytes() {
            // Escaped, because the bytes are the network's.
            return Ok(String::from_utf8_lossy(&buffer[..length])
                .escape_debug()
                .to_string());
        }
    }
}
