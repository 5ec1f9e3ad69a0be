//! The parts of the suite: what each one measures, and how its numbers are to be shown.

use std::io;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::contest::{FLOOR, TOKIO};
use crate::stage::{Gathered, Stage};

mod connections;
mod counted;
mod echo;
mod executor;
mod growth;
mod memory;
mod scale;

/// A part; it can be run alone, and has a file of results of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// Executor micro-benchmarks
    Micro,
    /// Executor costs as the number of tasks and timers grows
    Curves,
    /// Allocations and bytes per task
    Allocations,
    /// Messages over a fixed set of connections
    Echo,
    /// Connections that live for one message
    Connections,
    /// Memory per idle connection, and what a resting server does
    Memory,
    /// System calls per message and per connection
    Syscalls,
    /// User-space instructions and allocations per message and per connection
    Instructions,
    /// Cost per message as the number of connections grows, active and idle
    Growth,
    /// Several threads: echo-server --threads
    Threads,
    /// Few clients, where sleeping and waking is what costs
    Latency,
}

/// How a metric is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Plot {
    /// Not at all.
    None,
    /// A panel per case, a bar per contestant.
    Bars,
    /// A panel per case, a line per contestant, over `x` (of this meaning); both axes logarithmic.
    Lines(&'static str),
    /// The same for the ratio to another contestant, on a linear axis.
    Ratio(&'static str, &'static str),
}

/// What the numbers of one name are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    /// To whom the tables compare.
    pub(crate) ratios: &'static [&'static str],
    pub(crate) plot: Plot,
}

const fn metric(name: &'static str, title: &'static str, unit: &'static str) -> Metric {
    Metric {
        name,
        title,
        unit,
        ratios: &[],
        plot: Plot::None,
    }
}

impl Metric {
    const fn compared(self, ratios: &'static [&'static str]) -> Metric {
        Metric { ratios, ..self }
    }

    const fn drawn(self, plot: Plot) -> Metric {
        Metric { plot, ..self }
    }
}

const NANOSECONDS: Metric = metric("ns", "Time per operation", "ns");
const RATE: Metric = metric("rate", "Throughput", "1/s");
const CPU: Metric = metric("cpu", "Server CPU, user and kernel, per message", "µs");
const P50: Metric = metric("p50", "Round trip, median", "µs");
const P99: Metric = metric("p99", "Round trip, 99 %", "µs");
const P999: Metric = metric("p999", "Round trip, 99.9 %", "µs");
/// What the number of connections that exchange messages is called.
pub(crate) const CLIENTS: &str = "clients";

impl Part {
    /// The parts of this list, or all of them if it is empty, in their order.
    pub(crate) fn all(only: &[Part]) -> Vec<Part> {
        let all = Part::value_variants().iter().copied();
        all.filter(|part| only.is_empty() || only.contains(part))
            .collect()
    }

    /// Its name on the command line and of its files.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether it is about executors alone, without servers.
    pub(crate) fn is_executor(self) -> bool {
        matches!(self, Part::Micro | Part::Curves | Part::Allocations)
    }

    /// The heading of its results.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Part::Micro => "Executor",
            Part::Curves => "Executor, as tasks and timers grow in number",
            Part::Allocations => "Allocations and bytes per task",
            Part::Echo => "Echo",
            Part::Connections => "Connections that live for one message",
            Part::Memory => "Idle connections",
            Part::Syscalls => "System calls",
            Part::Instructions => "User-space instructions and allocations",
            Part::Growth => "Echo, as connections grow in number",
            Part::Threads => "Several threads",
            Part::Latency => "One and two clients",
        }
    }

    /// What is read off, and how it is shown.
    pub(crate) fn metrics(self) -> Vec<Metric> {
        match self {
            Part::Micro => vec![NANOSECONDS.compared(&[TOKIO]).drawn(Plot::Bars)],
            Part::Curves => vec![NANOSECONDS.drawn(Plot::Lines("how many"))],
            Part::Allocations => vec![metric("count", "Counts", "").drawn(Plot::Bars)],
            Part::Echo => vec![
                RATE.compared(&[FLOOR, TOKIO])
                    .drawn(Plot::Ratio(FLOOR, CLIENTS)),
                CPU.compared(&[FLOOR]).drawn(Plot::Ratio(FLOOR, CLIENTS)),
                P50,
                P99.drawn(Plot::Lines(CLIENTS)),
                P999,
                metric("server-busy", "How busy the server's core was", ""),
                metric("load-busy", "How busy the load's core was", ""),
            ],
            Part::Connections => vec![
                RATE.compared(&[FLOOR, TOKIO]).drawn(Plot::Bars),
                metric("cpu", "Server CPU, user and kernel, per connection", "µs")
                    .compared(&[FLOOR]),
                P99,
            ],
            Part::Memory => vec![
                metric("bytes", "Resident memory per idle connection", "bytes").drawn(Plot::Bars),
                metric("switches", "Sleeps of the resting server per second", ""),
                metric("cpu", "CPU of the resting server per second", "µs"),
            ],
            Part::Syscalls => vec![
                metric("calls", "System calls", "").drawn(Plot::Bars),
                metric("each", "Which ones", ""),
            ],
            Part::Instructions => vec![
                metric("instructions", "User-space instructions", "")
                    .compared(&[TOKIO])
                    .drawn(Plot::Bars),
                metric("allocations", "Allocations", ""),
            ],
            Part::Growth => vec![
                CPU.compared(&[FLOOR]).drawn(Plot::Lines(CLIENTS)),
                P50.drawn(Plot::Lines(CLIENTS)),
                RATE.compared(&[FLOOR]),
                metric(
                    "beside",
                    "Server CPU per message with idle connections, as a ratio to without",
                    "",
                ),
            ],
            Part::Threads => vec![RATE.drawn(Plot::Bars), CPU],
            Part::Latency => vec![
                RATE.compared(&[FLOOR, TOKIO]).drawn(Plot::Bars),
                P50,
                P99,
                metric("server-busy", "How busy the server's core was", ""),
            ],
        }
    }

    /// Measures it.
    ///
    /// # Errors
    ///
    /// When the system does not let us.
    pub(crate) fn measure(self, stage: &Stage, gathered: &mut Gathered) -> io::Result<()> {
        match self {
            Part::Micro => executor::micro(stage, gathered),
            Part::Curves => executor::curves(stage, gathered),
            Part::Allocations => executor::allocations(stage, gathered),
            Part::Echo => echo::measure(stage, gathered),
            Part::Latency => echo::latency(stage, gathered),
            Part::Connections => connections::measure(stage, gathered),
            Part::Memory => memory::measure(stage, gathered),
            Part::Syscalls => counted::syscalls(stage, gathered)?,
            Part::Instructions => counted::instructions(stage, gathered)?,
            Part::Growth => growth::measure(stage, gathered),
            Part::Threads => scale::measure(stage, gathered),
        }
        Ok(())
    }
}
