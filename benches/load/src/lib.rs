//! Command line ([`Plan`]) and output ([`Report`]) of the load generator. The suite reads the output
//! with the same type.

#![forbid(unsafe_code)]

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

/// Puts a bounded load on an echo server on this machine, verifies every byte that comes back, and
/// prints one line of JSON. Any wrong, missing or late byte is an error (status 1).
#[derive(Clone, Debug, Parser)]
#[command(name = "bench-load", version)]
pub struct Plan {
    /// Address of the server; only loopback addresses are allowed
    pub server: SocketAddr,

    /// Process of the server, to read its CPU time and memory
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,

    /// Kind of load
    #[command(subcommand)]
    pub mode: Mode,
}

/// The kinds of load.
#[derive(Clone, Debug, Subcommand)]
pub enum Mode {
    /// Messages over a fixed set of connections
    Echo(Echo),
    /// Short connections: connect, echo one message, close
    Connections(Connections),
    /// Connections that are idle after one message each
    Idle(Idle),
    /// Datagrams of a fixed set of clients
    Udp(Udp),
    /// Bytes through a relay that connects every two connections to each other
    Relay(Relay),
    /// Small messages at a fixed rate beside streams of bytes
    Mixed(Mixed),
    /// HTTP requests, by wrk or h2load
    Http(Http),
}

/// Messages over a fixed set of connections.
#[derive(Args, Clone, Debug)]
pub struct Echo {
    /// Number of connections that exchange messages
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub clients: u32,
    /// Bytes per message
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub size: u32,
    /// Number of messages in flight per connection
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub depth: u32,
    /// Number of further connections that are open and idle
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=20_000))]
    pub idle: u32,
    /// Duration in milliseconds in which messages begin, unless `--messages` is given; the measurement
    /// ends after the last answer
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub millis: u64,
    /// Duration of the warm-up in milliseconds
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub warm_up: u64,
    /// Number of messages, all of them measured, instead of a duration
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub messages: Option<u64>,
    /// Measure once for every line on stdin, over the same connections
    #[arg(long)]
    pub on_request: bool,
}

/// Short connections with one message each.
#[derive(Args, Clone, Debug)]
pub struct Connections {
    /// Total number of connections
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub count: u32,
    /// Number of connections open at once
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=4000))]
    pub clients: u32,
    /// Bytes per message
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub size: u32,
}

/// Idle connections.
#[derive(Args, Clone, Debug)]
pub struct Idle {
    /// Number of connections
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub clients: u32,
    /// Bytes of the message that each connection exchanges
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub size: u32,
    /// Duration of the measurement of the idle server, in milliseconds
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub millis: u64,
    /// What each connection exchanges: one message, or one request and its response
    #[arg(long, value_enum, default_value_t = Exchange::Message)]
    pub exchange: Exchange,
}

/// What an idle connection has exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Exchange {
    /// A message that is echoed
    Message,
    /// A request of HTTP/1.1
    Http1,
    /// A request of HTTP/2
    Http2,
}

/// Small messages at a fixed rate beside streams of bytes.
#[derive(Args, Clone, Debug)]
pub struct Mixed {
    /// Number of connections that exchange small messages
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub clients: u32,
    /// Bytes per small message
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub size: u32,
    /// Number of small messages per second, over all connections
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: u32,
    /// Number of further connections that stream bytes as fast as the server echoes them
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub streams: u32,
    /// Bytes in flight on each of these
    #[arg(long, default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub window: u32,
    /// Duration in milliseconds in which messages begin
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub millis: u64,
    /// Duration of the warm-up in milliseconds
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub warm_up: u64,
    /// Measure once for every line on stdin, and stop the server (SIGSTOP) in between
    #[arg(long)]
    pub on_request: bool,
}

/// HTTP requests, by wrk or h2load, which have to be installed.
#[derive(Args, Clone, Debug)]
pub struct Http {
    /// Program that sends the requests: wrk by HTTP/1.1, h2load by HTTP/2
    #[arg(long, value_enum)]
    pub tool: Tool,
    /// Number of connections
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub clients: u32,
    /// Number of requests in flight per connection; only for HTTP/2
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub streams: u32,
    /// Duration in seconds
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub seconds: u32,
    /// Measure once for every line on stdin, with new connections each time
    #[arg(long)]
    pub on_request: bool,
}

/// A program that sends HTTP requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tool {
    /// wrk
    Wrk,
    /// h2load, of nghttp2
    H2load,
}

impl Tool {
    /// Returns the name of the program.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Tool::Wrk => "wrk",
            Tool::H2load => "h2load",
        }
    }

    /// Returns the name of the Debian package that contains the program.
    #[must_use]
    pub const fn package(self) -> &'static str {
        match self {
            Tool::Wrk => "wrk",
            Tool::H2load => "nghttp2-client",
        }
    }
}

/// Datagrams of a fixed set of clients.
#[derive(Args, Clone, Debug)]
pub struct Udp {
    /// Number of clients
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub clients: u32,
    /// Bytes per datagram
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_507))]
    pub size: u32,
    /// Number of datagrams in flight per client: the next window is sent when all have come back
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub window: u32,
    /// Send a window with one call, and receive several datagrams with one call
    #[arg(long)]
    pub segments: bool,
    /// Duration in milliseconds in which windows are sent, unless `--messages` is given
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub millis: u64,
    /// Duration of the warm-up in milliseconds
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub warm_up: u64,
    /// Number of datagrams, all of them measured, instead of a duration
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub messages: Option<u64>,
    /// Measure once for every line on stdin, with the same clients
    #[arg(long)]
    pub on_request: bool,
}

/// Bytes through a relay.
#[derive(Args, Clone, Debug)]
pub struct Relay {
    /// Number of pairs of connections
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub clients: u32,
    /// Bytes per piece
    #[arg(long, default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=262_144))]
    pub size: u32,
    /// Number of pieces in flight per pair
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub window: u32,
    /// Duration in milliseconds in which pieces are sent, unless `--messages` is given
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub millis: u64,
    /// Duration of the warm-up in milliseconds
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub warm_up: u64,
    /// Number of pieces, all of them measured, instead of a duration
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub messages: Option<u64>,
    /// Measure once for every line on stdin, over the same connections
    #[arg(long)]
    pub on_request: bool,
}

/// Result of a measurement. A value that does not apply to the kind of load is 0.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Report {
    /// Number of measured messages, or of connections for short connections.
    pub count: u64,
    /// Duration of the measurement.
    pub seconds: f64,
    /// Median of the round trips in this and earlier measurements, in microseconds.
    pub p50_us: f64,
    /// 99th percentile of the same round trips, in microseconds.
    pub p99_us: f64,
    /// 99.9th percentile of the same round trips, in microseconds.
    pub p999_us: f64,
    /// CPU time of the server during the measurement, user and kernel.
    pub server_cpu_seconds: f64,
    /// CPU time of the load generator during the measurement.
    pub load_cpu_seconds: f64,
    /// Fraction of a core that the server has used in this and earlier measurements.
    pub server_busy: f64,
    /// Fraction of a core that the load generator has used in this and earlier measurements.
    pub load_busy: f64,
    /// Bytes that came back on streams beside the messages.
    pub streamed: u64,
    /// Number of idle connections.
    pub idle: u64,
    /// Resident memory of the server before the connections were opened, in bytes.
    pub resident_before: u64,
    /// Resident memory of the server with all connections open, in bytes.
    pub resident_with: u64,
    /// Number of sleeps of the server's main thread during the measurement.
    pub switches: u64,
}
