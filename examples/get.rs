//! An HTTP/1.1 client: prints the body of one URL to standard output and the status to standard error.
//!
//! ```text
//! cargo run -p wakeful-examples --example get -- http://127.0.0.1:8080/index.html
//! ```
//!
//! The protocol is written by hand, to show a client without any other crate: one request, a head that
//! is read line by line, and a body that ends in one of three ways. Programs use hyper instead, see
//! `examples/ecosystem`. There is no TLS here, and redirects are not followed.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use futures_lite::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use wakeful::io::{AsyncRead, copy, stdout};
use wakeful::time::timeout;
use wakeful_examples::{finish, usage};
use wakeful_net::TcpStream;

const USAGE: &str = "the argument is a URL of the form http://HOST[:PORT][/PATH]";
/// Time limit of a connect, and of the wait for the head.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Limit of all lines of the head together.
const MAX_HEAD_BYTES: u64 = 64 * 1024;

type Reader<'a> = BufReader<&'a TcpStream>;

fn main() -> ExitCode {
    finish(wakeful::block_on(run()))
}

async fn run() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), None) = (arguments.next(), arguments.next()) else {
        return Err(usage(USAGE));
    };
    let url = Url::parse(&url)?;
    let stream = TcpStream::connect_timeout(&*url.address, TIME_LIMIT).await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        url.path, url.host
    );
    stream.write_all(request.as_bytes()).await?;
    let mut reader = BufReader::new(&stream);
    let head = timeout(TIME_LIMIT, read_head(&mut reader))
        .await
        .map_err(|_| invalid(format!("the server sent no answer in {TIME_LIMIT:?}")))??;
    // Escaped, because the line is the server's.
    eprintln!("{}", head.status_line.escape_debug());
    let copied = match head.body {
        Body::Empty => 0,
        Body::Length(length) => copy_exactly(&mut reader, length).await?,
        Body::Chunked => copy_chunks(&mut reader).await?,
        Body::UntilEnd => copy_body(&mut reader).await?,
    };
    eprintln!("{copied} bytes");
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Url {
    /// For the header `Host`.
    host: String,
    /// For the connect: always with a port.
    address: String,
    path: String,
}

impl Url {
    fn parse(url: &str) -> io::Result<Url> {
        let wrong = |why: &str| usage(format!("{url:?}: {why}; {USAGE}"));
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            Some((scheme, _)) => return Err(wrong(&format!("`{scheme}` is not supported"))),
            None => return Err(wrong("the scheme is missing")),
        };
        if rest.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(wrong(
                "spaces and characters other than ASCII are not allowed",
            ));
        }
        // The part after `#` is for browsers.
        let rest = rest.split('#').next().unwrap_or_default();
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if host.is_empty() || host.contains('@') {
            return Err(wrong("the host is missing, or it has a user name"));
        }
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.ends_with(']'));
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Url {
            host: host.to_owned(),
            address: format!("{host}{}", if has_port { "" } else { ":80" }),
            path: format!("{slash}{path}"),
        })
    }
}

/// How the body ends.
enum Body {
    Empty,
    Length(u64),
    Chunked,
    /// With the connection.
    UntilEnd,
}

struct Head {
    status_line: String,
    body: Body,
}

/// Reads the lines of the head, and skips interim answers such as `100 Continue`.
async fn read_head(reader: &mut Reader<'_>) -> io::Result<Head> {
    loop {
        let mut left = MAX_HEAD_BYTES;
        let status_line = read_line(reader, &mut left).await?;
        let mut words = status_line.split(' ');
        let version = words.next().unwrap_or_default();
        let status = words.next().and_then(|word| word.parse::<u16>().ok());
        let (true, Some(status)) = (version.starts_with("HTTP/1."), status) else {
            let line = status_line.escape_debug();
            return Err(invalid(format!("not an answer in HTTP/1.1: \"{line}\"")));
        };
        let mut body = Body::UntilEnd;
        loop {
            let line = read_line(reader, &mut left).await?;
            if line.is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else {
                return Err(invalid(format!(
                    "a header without a colon: \"{}\"",
                    line.escape_debug()
                )));
            };
            let value = value.trim();
            if name.eq_ignore_ascii_case("transfer-encoding") {
                if !value.eq_ignore_ascii_case("chunked") {
                    return Err(invalid(format!(
                        "unknown encoding \"{}\"",
                        value.escape_debug()
                    )));
                }
                body = Body::Chunked;
            } else if name.eq_ignore_ascii_case("content-length") && !matches!(body, Body::Chunked)
            {
                let length = value.parse();
                body =
                    Body::Length(length.map_err(|_| {
                        invalid(format!("not a length: \"{}\"", value.escape_debug()))
                    })?);
            }
        }
        match status {
            100..200 => continue,
            204 | 304 => body = Body::Empty,
            _ => {}
        }
        return Ok(Head { status_line, body });
    }
}

/// Reads a line without its end. Takes its length off the bytes that are `left` for the head.
async fn read_line(reader: &mut Reader<'_>, left: &mut u64) -> io::Result<String> {
    let mut line = Vec::new();
    let length = reader.take(*left).read_until(b'\n', &mut line).await?;
    *left -= length as u64;
    match line.strip_suffix(b"\n") {
        Some(line) => {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            Ok(String::from_utf8_lossy(line).into_owned())
        }
        None if *left == 0 => Err(invalid(format!(
            "the head has more than {MAX_HEAD_BYTES} bytes"
        ))),
        None => Err(invalid("the connection ended inside of a line")),
    }
}

async fn copy_body(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<u64> {
    let copied = copy(reader, &mut stdout()).await;
    copied.map_err(|error| io::Error::new(error.kind(), format!("copy the body: {error}")))
}

async fn copy_exactly(reader: &mut Reader<'_>, length: u64) -> io::Result<u64> {
    let copied = copy_body(&mut reader.take(length)).await?;
    if copied < length {
        return Err(invalid(format!(
            "the body ended after {copied} of {length} bytes"
        )));
    }
    Ok(copied)
}

/// Copies chunks, each after a line with its length. The last one has length 0.
async fn copy_chunks(reader: &mut Reader<'_>) -> io::Result<u64> {
    let mut copied = 0;
    loop {
        let mut left = MAX_HEAD_BYTES;
        let line = read_line(reader, &mut left).await?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length = u64::from_str_radix(digits, 16);
        let length =
            length.map_err(|_| invalid(format!("not a length: \"{}\"", line.escape_debug())))?;
        if length == 0 {
            return Ok(copied);
        }
        copied += copy_exactly(reader, length).await?;
        if !read_line(reader, &mut left).await?.is_empty() {
            return Err(invalid("a chunk is longer than its length says"));
        }
    }
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}
