//! The command line: arguments, the limits of their values, and addresses.
//!
//! Called first by `main`. A usage error names the allowed values; the program then exits with
//! status 2, before anything has been opened.
//!
//! An [`Address`] is read as it is written: `127.0.0.1:8080`, `tcp://[::1]:8080`, `unix:///path`,
//! `udp://127.0.0.1:8080`, or a port of loopback, `8080`. A host name is kept as text and resolved by [`crate::listen`]. So an
//! unknown host is a start-up error (status 1), and only a malformed address is a usage error.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::Ipv6Addr;
use std::num::NonZeroUsize;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{
    OsStringValueParser, TypedValueParser, UnknownArgumentValueParser, ValueParser,
};
use clap::{ArgAction, Parser, ValueEnum};

use crate::trace_file::TraceFile;

/// Sends every client back exactly the bytes that it sent.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "echo-server",
    version,
    after_help = "Examples:\n  echo-server                                  then: nc 127.0.0.1 8080\n  \
                  echo-server tcp://127.0.0.1:5000 unix:///tmp/echo.sock\n  \
                  echo-server udp://127.0.0.1:5000             then: nc -u 127.0.0.1 5000\n  \
                  echo-server '[::1]:0' --stats 1s -v\n\n\
                  Signals:\n  SIGINT, SIGTERM  end gracefully; a second one ends at once\n  \
                  SIGUSR1          list counters and tasks on stderr (--report)\n  SIGUSR2          write the recording (--trace); without it SIGUSR2 is left as it is\n\
                  They are caught even if the parent process blocks them. But SIGINT stays ignored \
                  if the parent ignores it, as scripts do for background jobs. SIGHUP is left \
                  as it is, so nohup works.\n\n\
                  Log, on stderr:\n\
                  The start and the end of the server, warnings and errors; on a terminal without \
                  the start, because stdout has the addresses. Of connections that fail, the \
                  first 10 have a line each, further ones one line per second with their number; with -v each has \
                  a line.\n\n\
                  Unix sockets:\n\
                  While the server has PATH, it locks the file PATH.lock, so that no second server \
                  takes PATH.\n\n\
                  Environment:\n  RUST_LOG  filters the log when neither -v nor -q is given\n  \
                  NO_COLOR  turns color off"
)]
pub(crate) struct Args {
    // Not a doc comment, where rustdoc takes the brackets for links.
    #[arg(
        value_name = "ADDR",
        value_parser = address(),
        allow_negative_numbers = true,
        help = "Where to listen: HOST:PORT, PORT (of 127.0.0.1), tcp://HOST:PORT, tcp://[IPV6]:PORT, udp://HOST:PORT or \
                unix:///PATH, with a port from 0 to 65535; several are served at once. [::] includes \
                IPv4, unless an IPv4 address with the same port is given as well \
                [default: tcp://127.0.0.1:8080]"
    )]
    positional: Vec<Address>,

    /// The same as ADDR; can be given several times
    #[arg(long, value_name = "ADDR", value_parser = address())]
    bind: Vec<Address>,

    /// With N connections open, further clients wait in the listening queue. Divided equally among
    /// the threads [default: the descriptor limit minus a reserve]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) max_connections: Option<NonZeroUsize>,

    /// Close a connection on which nothing arrived for DUR (such as 30s) [default: never]
    #[arg(long, value_name = "DUR", value_parser = some_time, allow_hyphen_values = true)]
    pub(crate) idle_timeout: Option<Duration>,

    /// Close a connection whose peer took nothing for DUR while data waited [default: never]
    #[arg(long, value_name = "DUR", value_parser = some_time, allow_hyphen_values = true)]
    pub(crate) write_timeout: Option<Duration>,

    /// On SIGINT or SIGTERM, finish what was received, for at most DUR. Clients that keep sending
    /// are stopped after 1s, or half of DUR if that is shorter
    #[arg(long, value_name = "DUR", default_value = "5s", value_parser = duration,
          allow_hyphen_values = true)]
    pub(crate) grace: Duration,

    /// How many clients can wait to be accepted, 1 to 65535 (the kernel caps it at
    /// net.core.somaxconn)
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = up_to(65_535))]
    pub(crate) backlog: u32,

    /// The most that one read takes, 1 to 65535 bytes; longer input is more reads. A datagram is
    /// always taken whole
    #[arg(long, value_name = "BYTES", default_value_t = 65_535, value_parser = up_to(65_535))]
    pub(crate) buffer_size: u32,

    /// Run N threads, 1 to 256, each with a runtime and sockets (SO_REUSEPORT) of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = up_to(256))]
    pub(crate) threads: u32,

    /// Poll for up to DUR (such as 50us) before sleeping, while traffic keeps arriving within DUR:
    /// lower latency for more CPU; without traffic it uses none [default: sleep at once]
    #[arg(long, value_name = "DUR", value_parser = some_time, allow_hyphen_values = true)]
    pub(crate) busy_poll: Option<Duration>,

    /// Print one line of figures on stderr every DUR
    #[arg(long, value_name = "DUR", value_parser = some_time, allow_hyphen_values = true)]
    pub(crate) stats: Option<Duration>,

    /// Log a thread whose loop does not go on for DUR (such as 1s), with what it does, by a thread that looks
    /// at it [default: never]
    #[arg(long, value_name = "DUR", value_parser = some_time, allow_hyphen_values = true)]
    pub(crate) watch: Option<Duration>,

    /// Record what the server does, and write it at the end and on SIGUSR2: a page (.html), JSON for
    /// Perfetto (.json), a picture (.svg) or text (.txt). A .wtr file is written all the time. Each
    /// further thread has a file of its own, FILE-2 and so on
    #[arg(long, value_name = "FILE", value_parser = trace_file())]
    pub(crate) trace: Option<TraceFile>,

    /// How many events a recording keeps, 64 to 67108864; further ones overwrite the oldest
    #[arg(long, value_name = "N", default_value_t = 65_536, requires = "trace",
          value_parser = events)]
    pub(crate) trace_events: u32,

    /// Log more: -v also every accepted, closed and failed connection, -vv also every message
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    pub(crate) verbose: u8,

    /// Log warnings and errors only. Connections that fail are counted, in one line at the end
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// What SIGUSR1 lists: tasks grouped by what they wait on, or a line for every task
    #[arg(long, value_name = "DETAIL", default_value = "grouped")]
    pub(crate) report: Detail,

    /// Format of the log lines
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,

    // Refused, with a hint, because people try it.
    #[arg(short = 'p', long = "port", hide = true,
          value_parser = UnknownArgumentValueParser::suggest(PORT_HINT))]
    _port: Option<String>,
}

const PORT_HINT: &str = "the port is a part of ADDR: 127.0.0.1:8080, or 8080 for loopback";

/// How much SIGUSR1 lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Detail {
    Grouped,
    Full,
}

/// Format of a log line: text for people, or one JSON object per line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Args {
    /// Parses the program's arguments. The error contains its exit status and stream.
    pub(crate) fn from_command_line() -> Result<Args, clap::Error> {
        let args = Args::try_parse()?;
        args.check()?;
        Ok(args)
    }

    /// Checks what depends on several values.
    fn check(&self) -> Result<(), clap::Error> {
        if let Some(max) = self.max_connections
            && max.get() < self.threads as usize
        {
            return Err(clap::Error::raw(
                clap::error::ErrorKind::ValueValidation,
                format!(
                    "--max-connections {max} is shared by --threads {}: allowed is at least one \
                     connection per thread\n",
                    self.threads
                ),
            ));
        }
        Ok(())
    }

    /// Returns every address to listen on, in the order given.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        if self.positional.is_empty() && self.bind.is_empty() {
            return vec![Address::default_tcp()];
        }
        self.positional.iter().chain(&self.bind).cloned().collect()
    }
}

/// Returns a parser for addresses. It accepts OS strings, because the path of a socket need not be
/// UTF-8.
fn address() -> ValueParser {
    ValueParser::new(OsStringValueParser::new().try_map(Address::parse))
}

fn trace_file() -> ValueParser {
    ValueParser::new(OsStringValueParser::new().try_map(TraceFile::parse))
}

fn events(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if (1 << 6..=1 << 26).contains(&number) => Ok(number),
        _ => Err("allowed is a whole number in 64..=67108864".to_owned()),
    }
}

fn at_least_one(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "allowed is a whole number from 1 on".to_owned())
}

/// Returns a parser for a number from 1 to `max`. (clap's own parser names the range only if a
/// number was given.)
fn up_to(max: u32) -> impl Fn(&str) -> Result<u32, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        _ => Err(format!("allowed is a whole number in 1..={max}")),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| {
        format!("{error}; allowed is a number with a unit: 500ms, 5s, 2m, 1h or 1m 30s")
    })
}

/// Parses a duration that is not zero, because a zero limit or interval is a mistake.
fn some_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("allowed is a duration longer than zero: 500ms, 5s".to_owned()),
        time => Ok(time),
    }
}

// ---- addresses ------------------------------------------------------------------------------------

/// End of every message about a bad address.
const ALLOWED: &str = "allowed are HOST:PORT, PORT (of 127.0.0.1), tcp://HOST:PORT, tcp://[IPV6]:PORT, \
                       udp://HOST:PORT and unix:///PATH, with a port from 0 to 65535 (0 lets the \
                       system choose)";

/// The host of a port that is given alone, and of the default address: loopback, so that the server is
/// not public by accident.
const LOOPBACK: &str = "127.0.0.1";

/// An address to listen on.
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
    /// Returns the default address.
    pub(crate) fn default_tcp() -> Address {
        Address::Tcp {
            host: LOOPBACK.to_owned(),
            port: 8080,
        }
    }

    /// Parses one argument. The error names what is allowed.
    pub(crate) fn parse(text: OsString) -> Result<Address, String> {
        if let Some(path) = text.as_bytes().strip_prefix(b"unix://") {
            // A path is bytes, not text. It can contain any byte but NUL, and so can an argument.
            if path.is_empty() {
                return Err(format!("the path is missing; {ALLOWED}"));
            }
            return Ok(Address::Unix(PathBuf::from(OsString::from_vec(
                path.to_vec(),
            ))));
        }
        let Some(text) = text.to_str() else {
            return Err(format!(
                "only the path of unix:// can be other than UTF-8; {ALLOWED}"
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

/// Parses `host:port`, `[ipv6]:port`, or a port alone.
fn parse_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) = match text.rsplit_once(':') {
        Some(both) => both,
        None if is_number(text) => (LOOPBACK, text),
        None if text.contains('/') => {
            return Err(format!("a path needs unix:// before it; {ALLOWED}"));
        }
        None => return Err(format!("the port is missing; {ALLOWED}")),
    };
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = match bracketed {
        // A zone (`fe80::1%eth0`) is left to the name lookup, which knows the interfaces.
        Some(v6) if is_ipv6(v6.split('%').next().unwrap_or(v6)) => v6,
        Some(v6) => return Err(format!("'{v6}' is not an IPv6 address; {ALLOWED}")),
        None if host.contains(':') => {
            return Err(format!("an IPv6 address needs brackets; {ALLOWED}"));
        }
        None if host.is_empty() => {
            return Err(format!(
                "the host is missing (loopback is 127.0.0.1); {ALLOWED}"
            ));
        }
        None => host,
    };
    // `u16::from_str` accepts "+80", but a port is digits.
    let port = match port.parse::<u16>() {
        Ok(number) if is_number(port) => number,
        _ => return Err(format!("'{port}' is not a port; {ALLOWED}")),
    };
    Ok((host.to_owned(), port))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

/// Writes the address as a URL, which [`Address::parse`] can parse again.
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

/// Returns a path as text that is safe to print: unchanged if it is plain text, else escaped.
pub(crate) fn printable(path: &OsStr) -> String {
    match path.to_str() {
        Some(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => path.as_bytes().escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Args, String> {
        let all = std::iter::once("echo-server").chain(arguments.iter().copied());
        let args = Args::try_parse_from(all).map_err(|error| error.to_string())?;
        args.check().map_err(|error| error.to_string())?;
        Ok(args)
    }

    #[test]
    fn the_command_definition_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn the_default_address_is_loopback_8080() {
        let args = parse(&[]).expect("no argument is needed");
        assert_eq!(args.addresses(), [Address::default_tcp()]);
        assert_eq!(args.addresses()[0].to_string(), "tcp://127.0.0.1:8080");
        assert_eq!(args.grace, Duration::from_secs(5));
        assert_eq!((args.idle_timeout, args.write_timeout), (None, None));
    }

    #[test]
    fn positional_and_named_addresses_are_combined() {
        let args = parse(&["a:1", "--bind", "b:2", "c:3", "--bind", "unix:///d"]).expect("valid");
        let texts: Vec<_> = args.addresses().iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["tcp://a:1", "tcp://c:3", "tcp://b:2", "unix:///d"]);
    }

    #[test]
    fn a_bad_value_is_refused_and_the_message_names_what_is_allowed() {
        for (arguments, allowed) in [
            (&["-1"][..], "0 to 65535"),
            (&["127.0.0.1:65536"], "0 to 65535"),
            (&["udp://127.0.0.1"], "0 to 65535"),
            (&["--port", "80"], "a part of ADDR"),
            (&["--port=80"], "a part of ADDR"),
            (&["-p", "80"], "a part of ADDR"),
            (&["--report", "all"], "grouped, full"),
            (&["--grace", "5"], "500ms"),
            (&["--idle-timeout", "0s"], "longer than zero"),
            (&["--stats", "x"], "500ms"),
            (&["--busy-poll", "0us"], "longer than zero"),
            (&["--buffer-size", "0"], "1..=65535"),
            (&["--buffer-size", "65536"], "1..=65535"),
            (&["--backlog", "0"], "1..=65535"),
            (&["--threads", "0"], "1..=256"),
            (&["--threads", "two"], "1..=256"),
            (&["--buffer-size", "64k"], "1..=65535"),
            (&["--backlog", "many"], "1..=65535"),
            (&["--grace", "-1s"], "500ms"),
            (&["--idle-timeout", "-1s"], "500ms"),
            (&["--write-timeout", "-1s"], "500ms"),
            (&["--busy-poll", "-1us"], "500ms"),
            (&["--stats", "-1s"], "500ms"),
            (&["--max-connections", "0"], "from 1 on"),
            (
                &["--max-connections", "1", "--threads", "2"],
                "at least one",
            ),
            (&["--log-format", "xml"], "text, json"),
            (&["-q", "-v"], "cannot be used with"),
        ] {
            let message = parse(arguments).expect_err("is refused");
            assert!(message.contains(allowed), "{arguments:?}: {message}");
        }
    }

    fn parse_address(text: &str) -> Result<Address, String> {
        Address::parse(OsString::from(text))
    }

    fn tcp(host: &str, port: u16) -> Result<Address, String> {
        Ok(Address::Tcp {
            host: host.to_owned(),
            port,
        })
    }

    #[test]
    fn every_documented_form_is_parsed() {
        assert_eq!(parse_address("127.0.0.1:8080"), tcp("127.0.0.1", 8080));
        assert_eq!(parse_address("8080"), tcp("127.0.0.1", 8080));
        assert_eq!(parse_address("tcp://0"), tcp("127.0.0.1", 0));
        assert_eq!(parse_address("tcp://localhost:0"), tcp("localhost", 0));
        assert_eq!(parse_address("[::1]:65535"), tcp("::1", 65535));
        assert_eq!(parse_address("tcp://[fe80::1%lo]:1"), tcp("fe80::1%lo", 1));
        assert_eq!(
            parse_address("udp://[::1]:53"),
            Ok(Address::Udp {
                host: "::1".to_owned(),
                port: 53
            })
        );
        assert_eq!(
            parse_address("unix:///tmp/a:b"),
            Ok(Address::Unix("/tmp/a:b".into()))
        );
    }

    #[test]
    fn the_message_of_a_bad_address_names_what_is_allowed() {
        for bad in [
            "",
            "x",
            "65536",
            "99999999999999999999",
            "80 80",
            "/tmp/x",
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
            let message = parse_address(bad).expect_err(bad);
            assert!(message.contains("0 to 65535"), "{bad}: {message}");
            assert!(!message.contains('\n'), "{bad}: {message}");
        }
    }

    #[test]
    fn only_a_unix_path_can_be_other_than_utf_8() {
        let path = OsString::from_vec(b"unix:///tmp/\xff".to_vec());
        let address = Address::parse(path).expect("a path is bytes");
        assert_eq!(address.to_string(), "unix:///tmp/\\xff");
        assert!(Address::parse(OsString::from_vec(b"\xff:80".to_vec())).is_err());
    }

    #[test]
    fn an_address_is_written_as_it_is_parsed() {
        for text in [
            "tcp://127.0.0.1:8080",
            "tcp://[::1]:0",
            "udp://127.0.0.1:8080",
            "udp://[::1]:0",
            "unix:///tmp/echo.sock",
        ] {
            assert_eq!(parse_address(text).expect(text).to_string(), text);
        }
    }
}
