//! RESP, the protocol of redis: bytes into commands, replies into bytes.
//!
//! ```text
//! *2\r\n$3\r\nGET\r\n$3\r\nkey\r\n     an array of bulk strings: what programs send
//! GET key\r\n                          an inline command: what a person types into nc
//! ```
//!
//! A bulk string says its length first, so it may hold any bytes. A command that has not come whole
//! is parsed again from its beginning when more has come; the limits keep that cheap, because only
//! the lines with lengths are looked at.

/// The longest bulk string.
pub(crate) const LONGEST_BULK: usize = 1 << 20;
/// The most words of a command.
pub(crate) const MOST_WORDS: usize = 1024;
/// The longest inline command, and the longest line with a length.
pub(crate) const LONGEST_LINE: usize = 64 * 1024;
/// The longest command, in all.
pub(crate) const LONGEST_COMMAND: usize = 2 * LONGEST_BULK;

/// What the bytes begin with.
#[derive(Debug, PartialEq)]
pub(crate) enum Parsed<'a> {
    /// A command so far; more has to come.
    Incomplete,
    /// An empty line or an empty array, of so many bytes: ignored, as redis does.
    Nothing(usize),
    /// So many bytes are one command, of these words.
    Command(usize, Vec<&'a [u8]>),
    /// No command, whatever comes.
    Wrong(&'static str),
}

/// Looks for one command at the beginning of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let mut input = Input { bytes, place: 0 };
    let parsed = match bytes.first() {
        None => return Parsed::Incomplete,
        Some(b'*') => input.array(),
        Some(_) => input.inline(),
    };
    match parsed {
        Ok(words) if words.is_empty() => Parsed::Nothing(input.place),
        Ok(words) => Parsed::Command(input.place, words),
        Err(Stop::Wrong(why)) => Parsed::Wrong(why),
        Err(Stop::Incomplete) if bytes.len() > LONGEST_COMMAND => {
            Parsed::Wrong("the command is too long")
        }
        Err(Stop::Incomplete) => Parsed::Incomplete,
    }
}

enum Stop {
    Incomplete,
    Wrong(&'static str),
}

struct Input<'a> {
    bytes: &'a [u8],
    /// How far it was read.
    place: usize,
}

impl<'a> Input<'a> {
    fn array(&mut self) -> Result<Vec<&'a [u8]>, Stop> {
        let count = self.number(b'*', "invalid multibulk length")?;
        if count > MOST_WORDS as i64 {
            return Err(Stop::Wrong("invalid multibulk length"));
        }
        // A negative count is "no array": nothing follows.
        (0..count).map(|_| self.bulk()).collect()
    }

    fn bulk(&mut self) -> Result<&'a [u8], Stop> {
        let length = self.number(b'$', "invalid bulk length")?;
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= LONGEST_BULK)
            .ok_or(Stop::Wrong("invalid bulk length"))?;
        let end = self.place + length;
        let Some(after) = self.bytes.get(end..end + 2) else {
            return Err(Stop::Incomplete);
        };
        if after != b"\r\n" {
            return Err(Stop::Wrong("a bulk string does not end where it says"));
        }
        let bulk = &self.bytes[self.place..end];
        self.place = end + 2;
        Ok(bulk)
    }

    /// A line of the given mark and a number.
    fn number(&mut self, mark: u8, complaint: &'static str) -> Result<i64, Stop> {
        match self.bytes.get(self.place) {
            None => return Err(Stop::Incomplete),
            Some(found) if *found == mark => self.place += 1,
            Some(_) if mark == b'$' => return Err(Stop::Wrong("expected '$'")),
            Some(_) => return Err(Stop::Wrong(complaint)),
        }
        let line = self.line()?;
        std::str::from_utf8(line)
            .ok()
            .and_then(|line| line.parse().ok())
            .ok_or(Stop::Wrong(complaint))
    }

    fn inline(&mut self) -> Result<Vec<&'a [u8]>, Stop> {
        let line = self.line()?;
        let words = line.split(u8::is_ascii_whitespace);
        Ok(words.filter(|word| !word.is_empty()).collect())
    }

    /// Up to the end of the line, without it.
    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = &self.bytes[self.place..];
        let looked_at = &rest[..rest.len().min(LONGEST_LINE)];
        match looked_at.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                self.place += end + 1;
                Ok(rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]))
            }
            None if rest.len() >= LONGEST_LINE => Err(Stop::Wrong("too big inline request")),
            None => Err(Stop::Incomplete),
        }
    }
}

/// What a command is answered with.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    Status(&'static str),
    Error(String),
    Number(usize),
    Bulk(Vec<u8>),
    Null,
}

impl Reply {
    /// Appends its bytes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let head = match self {
            Reply::Status(text) => format!("+{text}\r\n"),
            Reply::Error(text) => format!("-ERR {text}\r\n"),
            Reply::Number(number) => format!(":{number}\r\n"),
            Reply::Bulk(bytes) => format!("${}\r\n", bytes.len()),
            Reply::Null => "$-1\r\n".to_owned(),
        };
        out.extend_from_slice(head.as_bytes());
        if let Reply::Bulk(bytes) = self {
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// A client's text inside of an error, which is one line: short, and without ends of lines.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .take(64)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command<'a>(taken: usize, words: &[&'a [u8]]) -> Parsed<'a> {
        Parsed::Command(taken, words.to_vec())
    }

    #[test]
    fn commands_are_found_at_the_beginning_and_say_how_long_they_are() {
        let pipelined = b"*2\r\n$3\r\nGET\r\n$3\r\nk\r\n\r\nPING\r\n";
        assert_eq!(parse(pipelined), command(22, &[b"GET", b"k\r\n"]));
        assert_eq!(parse(&pipelined[22..]), command(6, &[b"PING"]));
        assert_eq!(parse(b"set  a b\n"), command(9, &[b"set", b"a", b"b"]));
        assert_eq!(parse(b"\r\nPING\r\n"), Parsed::Nothing(2));
        assert_eq!(parse(b"*0\r\nPING\r\n"), Parsed::Nothing(4));
        assert_eq!(parse(b"*-1\r\n"), Parsed::Nothing(5));
    }

    #[test]
    fn every_beginning_of_a_command_is_incomplete() {
        let whole = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\0\r\n\xff\r\n";
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), Parsed::Incomplete, "{length}");
        }
        let words: [&[u8]; 3] = [b"SET", b"k", b"\0\r\n\xff"];
        assert_eq!(parse(whole), command(whole.len(), &words));
    }

    #[test]
    fn what_is_no_command_is_told_before_more_of_it_is_taken_in() {
        let wrong = |bytes: &[u8]| matches!(parse(bytes), Parsed::Wrong(_));
        assert!(wrong(b"*x\r\n"));
        assert!(wrong(b"*1025\r\n"));
        assert!(wrong(b"*1\r\n:5\r\n"));
        assert!(wrong(b"*1\r\n$-1\r\n"));
        assert!(wrong(b"*1\r\n$1048577\r\n"));
        assert!(wrong(b"*1\r\n$99999999999999999999\r\n"));
        assert!(wrong(b"*1\r\n$1\r\nab\r\n"));
        assert!(wrong(&[b'x'; LONGEST_LINE]));
        let mut long = b"*3\r\n".to_vec();
        for _ in 0..3 {
            long.extend_from_slice(format!("${LONGEST_BULK}\r\n").as_bytes());
            long.resize(long.len() + LONGEST_BULK, b'x');
            long.extend_from_slice(b"\r\n");
        }
        assert!(wrong(&long[..long.len() - 1]));
    }

    #[test]
    fn replies_are_written_as_redis_writes_them() {
        let mut out = Vec::new();
        for reply in [
            Reply::Status("OK"),
            Reply::Error("no".to_owned()),
            Reply::Number(3),
            Reply::Bulk(b"\r\n".to_vec()),
            Reply::Null,
        ] {
            reply.write(&mut out);
        }
        assert_eq!(out, b"+OK\r\n-ERR no\r\n:3\r\n$2\r\n\r\n\r\n$-1\r\n");
        assert_eq!(printable("a\r\nb"), "a  b");
    }
}
