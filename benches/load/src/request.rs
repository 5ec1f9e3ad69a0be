//! Opens connections and sends one HTTP request on each, written by hand.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::open::connect;
use crate::{TIMEOUT, server_error};

/// The version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

const HTTP1_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// The preface, an empty SETTINGS frame, and a HEADERS frame that ends stream 1 (RFC 9113). The fields
/// are those of the static table of RFC 7541: `GET`, `http`, `/`, and an authority `a`.
const HTTP2_REQUEST: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \0\0\0\x04\0\0\0\0\0\
    \0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a";

/// Flag of the last frame of a stream.
const END_STREAM: u8 = 1;

/// Opens `count` connections. On each, one request has been answered.
pub(crate) fn open(
    server: SocketAddr,
    count: usize,
    version: Version,
) -> io::Result<Vec<TcpStream>> {
    let streams = (0..count).map(|_| {
        let mut stream = connect(server, TIMEOUT)?;
        match version {
            Version::Http1 => {
                stream.write_all(HTTP1_REQUEST)?;
                read_http1(&mut stream)?;
            }
            Version::Http2 => {
                stream.write_all(HTTP2_REQUEST)?;
                read_http2(&mut stream)?;
            }
        }
        Ok(stream)
    });
    streams.collect()
}

/// Reads a response with a `content-length`.
fn read_http1(stream: &mut impl Read) -> io::Result<()> {
    let mut response = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let length = stream.read(&mut piece)?;
        if length == 0 {
            return Err(server_error("closed a connection before its response"));
        }
        response.extend(&piece[..length]);
        let text = String::from_utf8_lossy(&response);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        if !head.starts_with("HTTP/1.1 200") {
            let status = head.lines().next().unwrap_or_default();
            return Err(server_error(&format!("answered {status}")));
        }
        let expected = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let named = name.eq_ignore_ascii_case("content-length");
            named.then(|| value.trim().parse::<usize>().ok())?
        });
        match expected {
            Some(expected) if body.len() >= expected => return Ok(()),
            Some(_) => {}
            None => return Err(server_error("sent a response without content-length")),
        }
    }
}

/// Reads frames until stream 1 ends.
fn read_http2(stream: &mut impl Read) -> io::Result<()> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let [high, middle, low, kind, flags, ..] = head;
        let number = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let length = u32::from_be_bytes([0, high, middle, low]);
        io::copy(&mut stream.take(u64::from(length)), &mut io::sink())?;
        match kind {
            // DATA and HEADERS.
            0 | 1 if number == 1 && flags & END_STREAM != 0 => return Ok(()),
            // RST_STREAM and GOAWAY.
            3 | 7 => return Err(server_error("refused a request")),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_read_to_its_end() {
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert!(read_http1(&mut &response[..]).is_ok());
        assert!(read_http1(&mut &response[..response.len() - 1]).is_err());
        let other = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        let error = read_http1(&mut &other[..]).unwrap_err();
        assert!(error.to_string().contains("404 Not Found"), "{error}");
    }

    #[test]
    fn frames_are_read_until_the_stream_ends() {
        let settings = b"\0\0\x06\x04\0\0\0\0\0abcdef";
        let headers = b"\0\0\x01\x01\x04\0\0\0\x01\x88";
        let data = b"\0\0\x02\0\x01\0\0\0\x01hi";
        let whole = [&settings[..], headers, data].concat();
        assert!(read_http2(&mut &whole[..]).is_ok());
        assert!(read_http2(&mut &whole[..whole.len() - data.len()]).is_err());
        let refused = b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x01";
        let error = read_http2(&mut &refused[..]).unwrap_err();
        assert!(error.to_string().contains("refused"), "{error}");
    }
}
