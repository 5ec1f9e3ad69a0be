//! RESP2, the protocol of Redis: bytes to commands, replies to bytes. Called by `main`.
//!
//! ```text
//! *2\r\n$3\r\nGET\r\n$3\r\nkey\r\n     an array of bulk strings, as client libraries send it
//! GET key\r\n                          an inline command, as typed into nc
//! ```
//!
//! The crate redis-protocol decodes the bulk strings and encodes the replies. Two things are done
//! here, because the crate does not do them:
//!
//! - **Limits.** The crate's decoder has none and recurses into nested arrays: `*1\r\n` repeated
//!   100,000 times overflows the stack (version 6.0.0). So the array itself is decoded here, and
//!   each element has to be a bulk string whose length is within the limit.
//! - **Inline commands.** They are not RESP frames.
//!
//! An incomplete command is decoded again from its beginning when more bytes have arrived. The
//! limits keep that cheap, because only the lines with lengths are searched.

use redis_protocol::error::RedisProtocolError;
use redis_protocol::resp2::decode::decode_range;
use redis_protocol::resp2::encode::encode;
use redis_protocol::resp2::types::{OwnedFrame, RangeFrame, Resp2Frame};

/// Maximum length of a bulk string.
pub(crate) const MAX_BULK: usize = 1 << 20;
/// Maximum number of words in a command.
pub(crate) const MAX_WORDS: usize = 1024;
/// Maximum length of an inline command, and of a line with a length.
pub(crate) const MAX_LINE: usize = 64 * 1024;
/// Maximum length of a whole command.
pub(crate) const MAX_COMMAND: usize = 2 * MAX_BULK;

/// A reply to a command.
pub(crate) type Reply = OwnedFrame;

/// Outcome of parsing: `None` for an incomplete command, `Err` with the reason for invalid bytes.
type Parsed<'a> = Result<Option<Command<'a>>, &'static str>;

/// A command at the beginning of a buffer.
#[derive(Debug, PartialEq)]
pub(crate) struct Command<'a> {
    /// Its name and arguments. Empty for an empty line or array, which has no reply, as in Redis.
    pub(crate) words: Vec<&'a [u8]>,
    /// Its length in bytes.
    pub(crate) length: usize,
}

/// Parses the command at the beginning of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let parsed = match bytes.first() {
        None => Ok(None),
        Some(b'*') => parse_array(bytes),
        Some(_) => parse_inline(bytes),
    };
    match parsed {
        Ok(None) if bytes.len() > MAX_COMMAND => Err("the command is too long"),
        parsed => parsed,
    }
}

fn parse_array(bytes: &[u8]) -> Parsed<'_> {
    let Some((count, mut length)) = parse_length(bytes, "invalid multibulk length")? else {
        return Ok(None);
    };
    if count > MAX_WORDS as i64 {
        return Err("invalid multibulk length");
    }
    let mut words = Vec::new();
    // A negative count is a null array, which has no elements.
    for _ in 0..count {
        let Some((word, taken)) = parse_bulk(&bytes[length..])? else {
            return Ok(None);
        };
        words.push(word);
        length += taken;
    }
    Ok(Some(Command { words, length }))
}

/// Parses a bulk string; returns its content and its length on the wire.
fn parse_bulk(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, &'static str> {
    const INVALID_LENGTH: &str = "invalid bulk length";
    match bytes.first() {
        None => return Ok(None),
        Some(b'$') => {}
        Some(_) => return Err("expected '$'"),
    }
    // Checked before the content has arrived.
    match parse_length(bytes, INVALID_LENGTH)? {
        None => return Ok(None),
        Some((content, _)) if content > MAX_BULK as i64 => return Err(INVALID_LENGTH),
        Some(_) => {}
    }
    match decode_range(bytes) {
        Ok(None) => Ok(None),
        // The decoder skips two bytes after the content without a check.
        Ok(Some((RangeFrame::BulkString((start, end)), taken)))
            if &bytes[end..taken] == b"\r\n" =>
        {
            Ok(Some((&bytes[start..end], taken)))
        }
        Ok(Some((RangeFrame::BulkString(_), _))) => Err("bulk string without CRLF at its end"),
        // A null string, or a negative length.
        Ok(Some(_)) | Err(_) => Err(INVALID_LENGTH),
    }
}

/// Parses a line of a type byte and a number; returns the number and the line's length.
fn parse_length(bytes: &[u8], reason: &'static str) -> Result<Option<(i64, usize)>, &'static str> {
    let Some((line, length)) = parse_line(bytes)? else {
        return Ok(None);
    };
    let number = std::str::from_utf8(&line[1..]).ok();
    let number = number.and_then(|text| text.parse().ok()).ok_or(reason)?;
    Ok(Some((number, length)))
}

fn parse_inline(bytes: &[u8]) -> Parsed<'_> {
    let Some((line, length)) = parse_line(bytes)? else {
        return Ok(None);
    };
    let words = line.split(u8::is_ascii_whitespace);
    let words = words.filter(|word| !word.is_empty()).collect();
    Ok(Some(Command { words, length }))
}

/// Returns the first line without its end, and its length with the end.
fn parse_line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, &'static str> {
    let searched = &bytes[..bytes.len().min(MAX_LINE)];
    match searched.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            let line = &bytes[..end];
            Ok(Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1)))
        }
        None if bytes.len() >= MAX_LINE => Err("too big inline request"),
        None => Ok(None),
    }
}

/// Appends the bytes of a reply to `out`.
///
/// # Errors
///
/// None for the frames that this program makes; the encoder's signature has one.
pub(crate) fn append(reply: &Reply, out: &mut Vec<u8>) -> Result<(), RedisProtocolError> {
    let start = out.len();
    // Integers as integers, as Redis sends them to clients.
    out.resize(start + reply.encode_len(false), 0);
    encode(&mut out[start..], reply, false).map(drop)
}

/// Returns an error reply.
pub(crate) fn error(text: impl std::fmt::Display) -> Reply {
    Reply::Error(format!("ERR {text}"))
}

/// Returns client text for an error reply, which is one line: shortened, without control
/// characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .take(64)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command<'a>(length: usize, words: &[&'a [u8]]) -> Parsed<'a> {
        let words = words.to_vec();
        Ok(Some(Command { words, length }))
    }

    #[test]
    fn a_command_is_parsed_with_its_length() {
        let pipelined = b"*2\r\n$3\r\nGET\r\n$3\r\nk\r\n\r\nPING\r\n";
        assert_eq!(parse(pipelined), command(22, &[b"GET", b"k\r\n"]));
        assert_eq!(parse(&pipelined[22..]), command(6, &[b"PING"]));
        assert_eq!(parse(b"set  a b\n"), command(9, &[b"set", b"a", b"b"]));
        assert_eq!(parse(b"\r\nPING\r\n"), command(2, &[]));
        assert_eq!(parse(b"*0\r\nPING\r\n"), command(4, &[]));
        assert_eq!(parse(b"*-1\r\n"), command(5, &[]));
    }

    #[test]
    fn every_prefix_of_a_command_is_incomplete() {
        let whole = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\0\r\n\xff\r\n";
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), Ok(None), "{length}");
        }
        let words: [&[u8]; 3] = [b"SET", b"k", b"\0\r\n\xff"];
        assert_eq!(parse(whole), command(whole.len(), &words));
    }

    #[test]
    fn invalid_bytes_are_refused_before_the_rest_has_arrived() {
        let refused = |bytes: &[u8]| parse(bytes).is_err();
        assert!(refused(b"*x\r\n"));
        assert!(refused(b"*1025\r\n"));
        assert!(refused(b"*1\r\n:5\r\n"));
        assert!(refused(b"*1\r\n$-1\r\n"));
        assert!(refused(b"*1\r\n$-2\r\n"));
        assert!(refused(b"*1\r\n$1048577\r\n"));
        assert!(refused(b"*1\r\n$99999999999999999999\r\n"));
        assert!(refused(b"*1\r\n$1\r\nab\r\n"));
        assert!(refused(&[b'x'; MAX_LINE]));
        let mut long = b"*3\r\n".to_vec();
        for _ in 0..3 {
            long.extend_from_slice(format!("${MAX_BULK}\r\n").as_bytes());
            long.resize(long.len() + MAX_BULK, b'x');
            long.extend_from_slice(b"\r\n");
        }
        assert!(refused(&long[..long.len() - 1]));
    }

    #[test]
    fn nested_arrays_are_refused_at_any_depth() {
        let nested = b"*1\r\n".repeat(MAX_COMMAND / 4);
        assert_eq!(parse(&nested), Err("expected '$'"));
    }

    #[test]
    fn replies_are_encoded_as_redis_encodes_them() {
        let mut out = Vec::new();
        for reply in [
            Reply::SimpleString(b"OK".to_vec()),
            error("no"),
            Reply::Integer(3),
            Reply::BulkString(b"\r\n".to_vec()),
            Reply::Null,
        ] {
            append(&reply, &mut out).expect("it can be encoded");
        }
        assert_eq!(out, b"+OK\r\n-ERR no\r\n:3\r\n$2\r\n\r\n\r\n$-1\r\n");
        assert_eq!(printable("a\r\nb"), "a  b");
    }
}
