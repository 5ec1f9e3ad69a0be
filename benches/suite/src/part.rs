//! The parts of the suite, and how their metrics are shown in tables and plots. `parts` measures them.

use std::fmt;
use std::slice;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::contestants::{
    Contestant, ECHO_SERVER, FLOOR, HTTP_SERVERS, MIXED_SERVERS, MONOIO, RAW_LOOP, RAW_SPLICE,
    RELAYS, RUNTIMES, SERVERS, TOKIO, UDP_SERVERS,
};

/// A part of the suite. Each can run alone and has its own file of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// Executor micro-benchmarks
    Micro,
    /// Executor costs by number of tasks and timers
    Curves,
    /// Allocations and bytes per task
    Allocations,
    /// Messages over a fixed set of connections
    Echo,
    /// Short connections, one message each
    Connections,
    /// Memory per idle connection, and CPU of an idle server
    Memory,
    /// System calls per message and per connection
    Syscalls,
    /// User-space instructions and allocations per message and per connection
    Instructions,
    /// Cost per message by number of connections, active and idle
    Growth,
    /// Several threads: echo-server --threads
    Threads,
    /// One and two clients, where sleep and wake-up dominate
    Latency,
    /// Datagrams, one by one and in segments
    Udp,
    /// Bytes through a relay, in pieces and in bulk
    Relay,
    /// HTTP/1.1 and HTTP/2, with hyper and with axum
    Http,
    /// Times of small messages on a server that is busy with other work
    Tails,
    /// Costs of recordings, watched loops, dumps and pages
    Explain,
}

/// How a metric is plotted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Plot {
    /// No plot.
    None,
    /// A panel per case, a bar per contestant.
    Bars,
    /// A panel per case, a line per contestant, over `x` (with this label). Both axes are
    /// logarithmic.
    Lines(&'static str),
    /// A panel per case, a symbol per contestant: ratios to the contestant named first, in groups by `x`
    /// (with this label).
    Ratio(&'static str, &'static str),
}

/// A metric: its name in the results, and how it is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    /// Contestants that the tables show ratios to.
    pub(crate) ratios: &'static [&'static str],
    pub(crate) plot: Plot,
    pub(crate) better: Better,
    /// Lines of explanation in the plot.
    pub(crate) note: &'static [&'static str],
}

/// Which values of a metric are better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Better {
    Higher,
    Lower,
    /// The metric explains others.
    Neither,
}

impl fmt::Display for Better {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Better::Higher => "higher is better",
            Better::Lower => "lower is better",
            Better::Neither => "for information",
        })
    }
}

const fn metric(name: &'static str, title: &'static str, unit: &'static str) -> Metric {
    Metric {
        name,
        title,
        unit,
        ratios: &[],
        plot: Plot::None,
        better: Better::Lower,
        note: &[],
    }
}

impl Metric {
    const fn compared(self, ratios: &'static [&'static str]) -> Metric {
        Metric { ratios, ..self }
    }

    const fn drawn(self, plot: Plot) -> Metric {
        Metric { plot, ..self }
    }

    const fn higher_is_better(self) -> Metric {
        let better = Better::Higher;
        Metric { better, ..self }
    }

    const fn informs(self) -> Metric {
        let better = Better::Neither;
        Metric { better, ..self }
    }

    const fn noted(self, note: &'static [&'static str]) -> Metric {
        Metric { note, ..self }
    }

    /// Returns the title of the metric's plot, which is also the text in place of the image.
    pub(crate) fn alternative_text(&self, part: Part) -> String {
        let ratio = match self.plot {
            Plot::Ratio(to, _) => format!(", as a ratio to {to}"),
            _ => String::new(),
        };
        let (part, title, better) = (part.title(), self.title, self.better);
        format!("{part}: {title}{ratio} ({better})")
    }
}

const NANOSECONDS: Metric = metric("ns", "Time per operation", "ns");
const RATE: Metric = metric("rate", "Throughput", "1/s").higher_is_better();
const CPU: Metric = metric("cpu", "Server CPU, user and kernel, per message", "µs");
const P50: Metric = metric("p50", "Round trip, median", "µs");
const P99: Metric = metric("p99", "Round trip, 99 %", "µs");
const P999: Metric = metric("p999", "Round trip, 99.9 %", "µs");
const IDLE_RATIO: Metric = metric(
    "idle-ratio",
    "Server CPU per message with idle connections, as a ratio to without",
    "",
);

/// Returns the metrics of the servers of datagrams.
fn datagrams() -> Vec<Metric> {
    let references = &[RAW_LOOP, TOKIO];
    vec![
        RATE.compared(references).drawn(Plot::Bars),
        metric("cpu", "Server CPU, user and kernel, per datagram", "µs")
            .compared(references)
            .drawn(Plot::Bars),
        P99,
    ]
}

/// Returns the metrics of the echo.
fn echo() -> Vec<Metric> {
    vec![
        RATE.compared(&[FLOOR, TOKIO])
            .drawn(Plot::Ratio(FLOOR, CLIENTS)),
        CPU.compared(&[FLOOR]).drawn(Plot::Ratio(FLOOR, CLIENTS)),
        P50,
        P99.drawn(Plot::Ratio(FLOOR, CLIENTS)).noted(&FEW_RUNS_NOTE),
        P999,
        metric("server-busy", "Utilization of the server's core", "").informs(),
        metric("load-busy", "Utilization of the load's core", "").informs(),
    ]
}

/// Returns the metrics of the relays.
fn relays() -> Vec<Metric> {
    let references = &[RAW_SPLICE, TOKIO];
    vec![
        metric("cpu", "Relay CPU, user and kernel, per GiB", "ms")
            .compared(references)
            .drawn(Plot::Bars),
        metric("rate", "Throughput", "GiB/s")
            .higher_is_better()
            .compared(references),
        metric("server-busy", "Utilization of the relay's core", "").informs(),
        metric("load-busy", "Utilization of the load's core", "").informs(),
    ]
}

/// Returns the metrics of the servers of HTTP.
fn http() -> Vec<Metric> {
    vec![
        metric("cpu", "Server CPU, user and kernel, per request", "µs")
            .compared(&[TOKIO])
            .drawn(Plot::Bars),
        metric("rate", "Requests", "1/s")
            .higher_is_better()
            .compared(&[TOKIO]),
        metric("p50", "Time of a request, median", "µs"),
        metric("p99", "Time of a request, 99 %", "µs").compared(&[TOKIO]),
        metric("bytes", "Resident memory per idle connection", "bytes").compared(&[TOKIO]),
    ]
}

/// Returns the metrics of small messages beside other work.
fn tails() -> Vec<Metric> {
    let references = &[TOKIO, MONOIO];
    vec![
        metric("time", "Time of a small message", "µs")
            .compared(references)
            .drawn(Plot::Bars),
        metric("streamed", "Bytes on the streams", "MB/s")
            .higher_is_better()
            .compared(references),
        metric("server-busy", "Utilization of the server's core", "").informs(),
        metric("load-busy", "Utilization of the load's core", "").informs(),
    ]
}

/// Returns the metrics of recordings, watched loops, dumps and pages.
fn explain() -> Vec<Metric> {
    vec![
        metric("ns", "Time per poll", "ns")
            .compared(&[RUNTIMES[0].name])
            .drawn(Plot::Bars),
        metric("added", "Time that is added", "ns"),
        RATE.compared(&[ECHO_SERVER.name]),
        CPU.compared(&[ECHO_SERVER.name]),
        metric("time", "Time", "ms"),
    ]
}

const FEW_RUNS_NOTE: [&str; 1] = [
    "A percentile needs a whole run, and there are few: differences that are smaller than the whiskers are noise.",
];
const ONE_RUN_NOTE: [&str; 1] =
    ["The median over a single run has no interval: differences of a few hundredths are noise."];
const CURVES_NOTE: [&str; 1] = ["A symbol without a whisker was measured once."];
/// What the amounts of memory consist of.
const MEMORY_NOTE: [&str; 3] = [
    "wakeful minimal is the handler of the README: each connection has a buffer of 16 KiB, as in the servers",
    "of tokio and smol. wakeful echo-server has one buffer per thread; a connection owns bytes only while its client",
    "is slow to read.",
];
/// Label of the number of connections that exchange messages.
pub(crate) const CLIENTS: &str = "clients";

impl Part {
    /// Returns the parts of this list, or all parts if it is empty, in their order.
    pub(crate) fn all(only: &[Part]) -> Vec<Part> {
        let all = Part::value_variants().iter().copied();
        all.filter(|part| only.is_empty() || only.contains(part))
            .collect()
    }

    /// Returns the name on the command line, which is that of the files too.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Returns the servers that the part measures; an empty list if it measures executors only.
    pub(crate) fn servers(self) -> &'static [Contestant] {
        match self {
            Part::Micro | Part::Curves | Part::Allocations => &[],
            Part::Udp => &UDP_SERVERS,
            Part::Relay => &RELAYS,
            Part::Http => &HTTP_SERVERS,
            Part::Tails => &MIXED_SERVERS,
            Part::Explain => slice::from_ref(&ECHO_SERVER),
            Part::Echo
            | Part::Connections
            | Part::Memory
            | Part::Syscalls
            | Part::Instructions
            | Part::Growth
            | Part::Threads
            | Part::Latency => &SERVERS,
        }
    }

    /// Returns whether the part runs the micro-benchmarks.
    pub(crate) fn needs_micro(self) -> bool {
        self == Part::Explain || self.servers().is_empty()
    }

    /// Returns the heading of the results.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Part::Micro => "Executor",
            Part::Curves => "Executor, by number of tasks and timers",
            Part::Allocations => "Allocations and bytes per task",
            Part::Echo => "Echo",
            Part::Connections => "Short connections, one message each",
            Part::Memory => "Idle connections",
            Part::Syscalls => "System calls",
            Part::Instructions => "User-space instructions and allocations",
            Part::Growth => "Echo, by number of connections",
            Part::Threads => "Several threads",
            Part::Latency => "One and two clients",
            Part::Udp => "Datagrams",
            Part::Relay => "Relays",
            Part::Http => "HTTP",
            Part::Tails => "Mixed work",
            Part::Explain => "Recordings, watched loops and dumps",
        }
    }

    /// Returns the metrics of the part.
    pub(crate) fn metrics(self) -> Vec<Metric> {
        match self {
            Part::Micro => vec![NANOSECONDS.compared(&[TOKIO]).drawn(Plot::Bars)],
            Part::Curves => vec![
                NANOSECONDS
                    .drawn(Plot::Lines("tasks or timers"))
                    .noted(&CURVES_NOTE),
            ],
            Part::Allocations => vec![metric("count", "Counts", "").drawn(Plot::Bars)],
            Part::Echo => echo(),
            Part::Connections => vec![
                RATE.compared(&[FLOOR, TOKIO]).drawn(Plot::Bars),
                metric("cpu", "Server CPU, user and kernel, per connection", "µs")
                    .compared(&[FLOOR]),
                P99,
            ],
            Part::Memory => vec![
                metric("bytes", "Resident memory per idle connection", "bytes")
                    .drawn(Plot::Bars)
                    .noted(&MEMORY_NOTE),
                metric("switches", "Sleeps of the idle server per second", ""),
                metric("cpu", "CPU of the idle server per second", "µs"),
            ],
            Part::Syscalls => vec![
                metric("calls", "System calls", "").drawn(Plot::Bars),
                metric("each", "System calls by name", ""),
            ],
            Part::Instructions => vec![
                metric("instructions", "User-space instructions", "")
                    .compared(&[TOKIO])
                    .drawn(Plot::Bars),
                metric("allocations", "Allocations", ""),
            ],
            Part::Growth => vec![
                CPU.compared(&[FLOOR]).drawn(Plot::Lines(CLIENTS)),
                P50.drawn(Plot::Ratio(FLOOR, CLIENTS)).noted(&ONE_RUN_NOTE),
                RATE.compared(&[FLOOR]),
                IDLE_RATIO,
            ],
            Part::Threads => vec![RATE.drawn(Plot::Bars), CPU],
            Part::Latency => vec![
                RATE.compared(&[FLOOR, TOKIO]).drawn(Plot::Bars),
                P50,
                P99,
                metric("server-busy", "Utilization of the server's core", "").informs(),
            ],
            Part::Udp => datagrams(),
            Part::Relay => relays(),
            Part::Http => http(),
            Part::Tails => tails(),
            Part::Explain => explain(),
        }
    }
}
