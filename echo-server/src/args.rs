//! The command line: what may be asked for, and the limits of each value.
//!
//! Called first by `main`. A usage error names what is allowed; the program then ends with
//! status 2, before anything has been opened.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser, ValueParser};
use clap::{ArgAction, Parser, ValueEnum};

use crate::address::Address;

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
                  SIGUSR1          list counters and tasks on stderr\n\n\
                  Environment:\n  RUST_LOG  filters the log when neither -v nor -q is given\n  \
                  NO_COLOR  turns colour off"
)]
pub(crate) struct Args {
    // Not a doc comment, in which rustdoc would take the brackets for links.
    #[arg(
        value_name = "ADDR",
        value_parser = address(),
        allow_negative_numbers = true,
        help = "Where to listen: HOST:PORT, tcp://HOST:PORT, tcp://[IPV6]:PORT, udp://HOST:PORT or \
                unix:///PATH, with a port from 0 to 65535; several are served at once \
                [default: tcp://127.0.0.1:8080]"
    )]
    positional: Vec<Address>,

    /// The same as ADDR; may be given several times
    #[arg(long, value_name = "ADDR", value_parser = address())]
    bind: Vec<Address>,

    /// With N connections open, further clients wait in the listening queue [default: what the
    /// descriptor limit allows, minus a reserve]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) max_connections: Option<NonZeroUsize>,

    /// Close a connection on which nothing arrived for DUR (such as 30s) [default: never]
    #[arg(long, value_name = "DUR", value_parser = some_time, allow_hyphen_values = true)]
    pub(crate) idle_timeout: Option<Duration>,

    /// Close a connection whose peer took nothing for DUR while data waited [default: never]
    #[arg(long, value_name = "DUR", value_parser = some_time, allow_hyphen_values = true)]
    pub(crate) write_timeout: Option<Duration>,

    /// On SIGINT or SIGTERM, finish what was received, for at most DUR
    #[arg(long, value_name = "DUR", default_value = "5s", value_parser = duration,
          allow_hyphen_values = true)]
    pub(crate) grace: Duration,

    /// How many clients may wait to be accepted, 1 to 65535 (the kernel caps it at
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

    /// Look for work for up to DUR (such as 50us) before sleeping, while traffic keeps arriving
    /// within DUR: lower latency for more CPU; at rest it uses none [default: sleep at once]
    #[arg(long, value_name = "DUR", value_parser = some_time, allow_hyphen_values = true)]
    pub(crate) busy_poll: Option<Duration>,

    /// Print one line of figures on stderr every DUR
    #[arg(long, value_name = "DUR", value_parser = some_time, allow_hyphen_values = true)]
    pub(crate) stats: Option<Duration>,

    /// Log more: -v tells of every connection, -vv of every message
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    pub(crate) verbose: u8,

    /// Log warnings and errors only
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// The form of the log lines
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// How a log line is written: for people, or as one JSON object per line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Args {
    /// Reads the program's arguments; the error knows its own status and which stream it is for.
    pub(crate) fn from_command_line() -> Result<Args, clap::Error> {
        let args = Args::try_parse()?;
        args.check()?;
        Ok(args)
    }

    /// What no single value can be blamed for.
    fn check(&self) -> Result<(), clap::Error> {
        if let Some(most) = self.max_connections
            && most.get() < self.threads as usize
        {
            return Err(clap::Error::raw(
                clap::error::ErrorKind::ValueValidation,
                format!(
                    "--max-connections {most} is shared by --threads {}: allowed is at least one \
                     connection per thread\n",
                    self.threads
                ),
            ));
        }
        Ok(())
    }

    /// Every address to listen on, in the order given.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        if self.positional.is_empty() && self.bind.is_empty() {
            return vec![Address::default_tcp()];
        }
        self.positional.iter().chain(&self.bind).cloned().collect()
    }
}

/// Addresses are taken as the system's own strings: the path of a socket need not be UTF-8.
fn address() -> ValueParser {
    ValueParser::new(OsStringValueParser::new().try_map(Address::parse))
}

fn at_least_one(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "allowed is a whole number from 1 on".to_owned())
}

/// A parser for a number from 1 to `most`. (clap's own names the range only to who gave a number.)
fn up_to(most: u32) -> impl Fn(&str) -> Result<u32, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(format!("allowed is a whole number in 1..={most}")),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| {
        format!("{error}; allowed is a number with a unit: 500ms, 5s, 2m, 1h or 1m 30s")
    })
}

/// A duration that is not zero: a limit or a pause of no time at all is surely a mistake.
fn some_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("allowed is a duration longer than zero: 500ms, 5s".to_owned()),
        time => Ok(time),
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
    fn the_command_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn without_addresses_loopback_8080_is_served() {
        let args = parse(&[]).expect("no argument is needed");
        assert_eq!(args.addresses(), [Address::default_tcp()]);
        assert_eq!(args.addresses()[0].to_string(), "tcp://127.0.0.1:8080");
        assert_eq!(args.grace, Duration::from_secs(5));
        assert_eq!((args.idle_timeout, args.write_timeout), (None, None));
    }

    #[test]
    fn positional_and_named_addresses_add_up() {
        let args = parse(&["a:1", "--bind", "b:2", "c:3", "--bind", "unix:///d"]).expect("valid");
        let texts: Vec<_> = args.addresses().iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["tcp://a:1", "tcp://c:3", "tcp://b:2", "unix:///d"]);
    }

    #[test]
    fn a_bad_value_is_refused_with_what_is_allowed() {
        for (arguments, allowed) in [
            (&["-1"][..], "0 to 65535"),
            (&["127.0.0.1:65536"], "0 to 65535"),
            (&["udp://127.0.0.1"], "0 to 65535"),
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
}
