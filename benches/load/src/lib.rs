//! What the load generator is asked for ([`Plan`]) and what it answers ([`Report`]); the suite uses
//! both to start the program and to read its result.

#![forbid(unsafe_code)]

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};
use serde::{Deserialize, Serialize};

/// Puts a bounded load on an echo server on this machine, verifies every byte that comes back, and
/// prints one line of JSON. Any wrong, missing or late byte is an error (status 1).
#[derive(Clone, Debug, Parser)]
#[command(name = "bench-load", version)]
pub struct Plan {
    /// The server; only loopback addresses are allowed
    pub server: SocketAddr,

    /// The server's process, to read its CPU time and memory
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,

    /// What the load consists of
    #[command(subcommand)]
    pub mode: Mode,
}

/// The three kinds of load.
#[derive(Clone, Debug, Subcommand)]
pub enum Mode {
    /// A fixed set of connections, over which messages go there and back
    Echo(Echo),
    /// Connect, one message there and back, close; again and again
    Connections(Connections),
    /// Many connections that have each exchanged one message and then rest
    Idle(Idle),
}

/// Messages over a fixed set of connections.
#[derive(Args, Clone, Debug)]
pub struct Echo {
    /// How many connections exchange messages
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub clients: u32,
    /// Bytes per message
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub size: u32,
    /// How many messages a connection has on the way at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub depth: u32,
    /// How many further connections are open beside them, and silent
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=20_000))]
    pub idle: u32,
    /// How long messages may begin, in milliseconds, unless `--messages` is given; the measurement
    /// ends when all have come back
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub millis: u64,
    /// How long to exchange messages before measuring, in milliseconds
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub warm_up: u64,
    /// Exchange exactly so many messages, all of them measured, instead of measuring for a time
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub messages: Option<u64>,
    /// Measure once for every line on stdin, over the same connections, which rest in between
    #[arg(long)]
    pub on_request: bool,
}

/// Connections that live for one message.
#[derive(Args, Clone, Debug)]
pub struct Connections {
    /// How many connections to make in all
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub count: u32,
    /// How many of them exist at once
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=4000))]
    pub clients: u32,
    /// Bytes per message
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub size: u32,
}

/// Connections at rest.
#[derive(Args, Clone, Debug)]
pub struct Idle {
    /// How many
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub clients: u32,
    /// Bytes of the one message that each has exchanged
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub size: u32,
    /// How long to watch the resting server, in milliseconds
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub millis: u64,
}

/// What was seen. A value that does not apply to the kind of load is 0.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Report {
    /// Messages (or connections, for that kind of load) that were measured.
    pub count: u64,
    /// How long that took.
    pub seconds: f64,
    /// Half of all round trips, in this and earlier measurements, took at most so many microseconds.
    pub p50_us: f64,
    /// 99 of 100 round trips took at most so many microseconds.
    pub p99_us: f64,
    /// 999 of 1,000 round trips took at most so many microseconds.
    pub p999_us: f64,
    /// CPU time of the server meanwhile, user and kernel.
    pub server_cpu_seconds: f64,
    /// CPU time of the load generator meanwhile.
    pub load_cpu_seconds: f64,
    /// The share of a core that the server has used, in this and earlier measurements.
    pub server_busy: f64,
    /// The same of the load generator.
    pub load_busy: f64,
    /// How many idle connections were open beside.
    pub idle: u64,
    /// Resident memory of the server before the connections were opened, in bytes.
    pub resident_before: u64,
    /// The same with all connections open.
    pub resident_with: u64,
    /// How many times the server's threads went to sleep meanwhile.
    pub switches: u64,
}
