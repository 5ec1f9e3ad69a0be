//! A server that is tested in a task of the simulation.

use std::io;

use futures_lite::io::{AsyncBufReadExt, BufReader};
use futures_lite::stream::StreamExt;
use wakeful_net::{TcpListener, TcpStream};
use wakeful_sim::{Faults, Leaks, Sim};

/// Answers each line with its length.
async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        wakeful::spawn(answer_reads(stream));
    }
}

async fn answer_reads(stream: TcpStream) -> io::Result<()> {
    let mut buf = [0; 1024];
    loop {
        let count = stream.read(&mut buf).await?;
        if count == 0 {
            return Ok(());
        }
        let length = count - 1; // without the end of the line
        stream.write_all(format!("{length}\n").as_bytes()).await?;
    }
}

async fn answer_lines(stream: TcpStream) -> io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    while let Some(line) = lines.next().await {
        let length = line?.len();
        stream.write_all(format!("{length}\n").as_bytes()).await?;
    }
    Ok(())
}

/// As `serve`, with the correction.
async fn serve_lines(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        wakeful::spawn(answer_lines(stream));
    }
}

/// Sends a line and returns the answer.
async fn ask(stream: &TcpStream, line: &str) -> String {
    stream.write_all(line.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let mut reader = BufReader::new(stream);
    reader.read_line(&mut answer).await.unwrap();
    answer
}

wakeful_sim::test! {
    seeds = 500;
    faults = Faults::lossless();
    #[should_panic(expected = "left == right")]
    async fn every_line_is_answered(_sim: Sim) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        wakeful::spawn(serve(listener));
        let stream = TcpStream::connect(address).await.unwrap();
        for (line, answer) in [("\n", "0\n"), ("a\n", "1\n"), ("hello\n", "5\n")] {
            assert_eq!(ask(&stream, line).await, answer);
        }
    }
}

wakeful_sim::test! {
    seeds = 500;
    faults = Faults::lossless();
    async fn every_line_is_answered_with_the_correction(_sim: Sim) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        wakeful::spawn(serve_lines(listener));
        let stream = TcpStream::connect(address).await.unwrap();
        for (line, answer) in [("\n", "0\n"), ("a\n", "1\n"), ("hello\n", "5\n")] {
            assert_eq!(ask(&stream, line).await, answer);
        }
    }
}

wakeful_sim::test! {
    seeds = 100;
    leaks = Leaks::Deny;
    async fn a_client_that_leaves_ends_its_task(_sim: Sim) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = wakeful::spawn(serve_lines(listener));
        let stream = TcpStream::connect(address).await.unwrap();
        assert_eq!(ask(&stream, "hello\n").await, "5\n");
        server.abort();
    }
}
