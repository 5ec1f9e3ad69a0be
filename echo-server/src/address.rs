//! Reads an address as a person writes it: `127.0.0.1:8080`, `tcp://[::1]:8080`, `unix:///path`,
//! `udp://127.0.0.1:8080`.
//!
//! Called by [`crate::args`]; nothing is looked up or opened here, that is the job of
//! [`crate::listen`]. A name is kept as a name until then, so that an unknown host is a start-up
//! error (status 1) and only a malformed address is a usage error (status 2).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::Ipv6Addr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// What every message about a bad address ends with.
const ALLOWED: &str = "allowed are HOST:PORT, tcp://HOST:PORT, tcp://[IPV6]:PORT, udp://HOST:PORT and \
                       unix:///PATH, with a port from 0 to 65535 (0 lets the system choose)";

/// Somewhere to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A TCP port; `host` is an IP literal (IPv6 without its brackets) or a name.
    Tcp { host: String, port: u16 },
    /// A UDP port; `host` as above.
    Udp { host: String, port: u16 },
    /// A Unix stream socket, by the path of its file.
    Unix(PathBuf),
}

impl Address {
    /// Where the server listens when no address is given: loopback, so that nobody is served by
    /// accident.
    pub(crate) fn default_tcp() -> Address {
        Address::Tcp {
            host: "127.0.0.1".to_owned(),
            port: 8080,
        }
    }

    /// Reads one argument. The error is a sentence that says what is allowed.
    pub(crate) fn parse(text: OsString) -> Result<Address, String> {
        if let Some(path) = text.as_bytes().strip_prefix(b"unix://") {
            // A path is bytes, not text: it may hold anything but NUL, which no argument can.
            if path.is_empty() {
                return Err(format!("the path is missing; {ALLOWED}"));
            }
            return Ok(Address::Unix(PathBuf::from(OsString::from_vec(
                path.to_vec(),
            ))));
        }
        let Some(text) = text.to_str() else {
            return Err(format!(
                "only the path of unix:// may be other than UTF-8; {ALLOWED}"
            ));
        };
        match text.split_once("://") {
            None => parse_port(text).map(|(host, port)| Address::Tcp { host, port }),
            Some(("tcp", rest)) => parse_port(rest).map(|(host, port)| Address::Tcp { host, port }),
            Some(("udp", rest)) => parse_port(rest).map(|(host, port)| Address::Udp { host, port }),
            Some((scheme, _)) => Err(format!("there is no scheme '{scheme}'; {ALLOWED}")),
        }
    }
}

/// Reads `host:port` or `[ipv6]:port`.
fn parse_port(text: &str) -> Result<(String, u16), String> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!("the port is missing; {ALLOWED}"));
    };
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = match bracketed {
        // A zone (`fe80::1%eth0`) is left to the name look-up, which knows the interfaces.
        Some(v6) if is_ipv6(v6.split('%').next().unwrap_or(v6)) => v6,
        Some(v6) => return Err(format!("'{v6}' is not an IPv6 address; {ALLOWED}")),
        None if host.contains(':') => {
            return Err(format!("an IPv6 address stands in brackets; {ALLOWED}"));
        }
        None if host.is_empty() => {
            return Err(format!(
                "the host is missing (loopback is 127.0.0.1); {ALLOWED}"
            ));
        }
        None => host,
    };
    // `u16::from_str` would take "+80"; a port is digits.
    let port = match port.parse::<u16>() {
        Ok(number) if port.bytes().all(|byte| byte.is_ascii_digit()) => number,
        _ => return Err(format!("'{port}' is not a port; {ALLOWED}")),
    };
    Ok((host.to_owned(), port))
}

fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

/// Writes the address as a URL, the form that [`Address::parse`] reads back.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } => write_port(f, "tcp", host, *port),
            Address::Udp { host, port } => write_port(f, "udp", host, *port),
            Address::Unix(path) => write!(f, "unix://{}", printable(path.as_os_str())),
        }
    }
}

fn write_port(f: &mut fmt::Formatter<'_>, scheme: &str, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') {
        write!(f, "{scheme}://[{host}]:{port}")
    } else {
        write!(f, "{scheme}://{host}:{port}")
    }
}

/// A path as text that is safe to print: as it is when it is plain text, escaped when it is not.
pub(crate) fn printable(path: &OsStr) -> String {
    match path.to_str() {
        Some(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => path.as_bytes().escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, String> {
        Address::parse(OsString::from(text))
    }

    fn tcp(host: &str, port: u16) -> Result<Address, String> {
        Ok(Address::Tcp {
            host: host.to_owned(),
            port,
        })
    }

    #[test]
    fn every_documented_form_is_read() {
        assert_eq!(parse("127.0.0.1:8080"), tcp("127.0.0.1", 8080));
        assert_eq!(parse("tcp://localhost:0"), tcp("localhost", 0));
        assert_eq!(parse("[::1]:65535"), tcp("::1", 65535));
        assert_eq!(parse("tcp://[fe80::1%lo]:1"), tcp("fe80::1%lo", 1));
        assert_eq!(
            parse("udp://[::1]:53"),
            Ok(Address::Udp {
                host: "::1".to_owned(),
                port: 53
            })
        );
        assert_eq!(
            parse("unix:///tmp/a:b"),
            Ok(Address::Unix("/tmp/a:b".into()))
        );
    }

    #[test]
    fn a_bad_address_says_what_is_allowed() {
        for bad in [
            "",
            "x",
            "8080",
            ":8080",
            "127.0.0.1:",
            "a:65536",
            "a:-1",
            "a:+1",
            "a:x",
            "::1:8080",
            "[::1]",
            "[x]:1",
            "[]:1",
            "unix://",
            "udp://127.0.0.1",
            "udp:///path",
            "http://a:1",
            "-1",
        ] {
            let message = parse(bad).expect_err(bad);
            assert!(message.contains("0 to 65535"), "{bad}: {message}");
            assert!(!message.contains('\n'), "{bad}: {message}");
        }
    }

    #[test]
    fn only_a_unix_path_may_be_other_than_utf_8() {
        let path = OsString::from_vec(b"unix:///tmp/\xff".to_vec());
        let address = Address::parse(path).expect("a path is bytes");
        assert_eq!(address.to_string(), "unix:///tmp/\\xff");
        assert!(Address::parse(OsString::from_vec(b"\xff:80".to_vec())).is_err());
    }

    #[test]
    fn an_address_is_written_as_it_is_read() {
        for text in [
            "tcp://127.0.0.1:8080",
            "tcp://[::1]:0",
            "udp://127.0.0.1:8080",
            "udp://[::1]:0",
            "unix:///tmp/echo.sock",
        ] {
            assert_eq!(parse(text).expect(text).to_string(), text);
        }
    }
}
