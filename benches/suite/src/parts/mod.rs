//! The measurements of each part, one file per group of parts.

use std::io;
use std::path::Path;
use std::time::Instant;

use crate::bench::{Bench, Collected};
use crate::machine::Machine;
use crate::part::Part;
use crate::results::Results;

mod connections;
mod counted;
mod echo;
mod executor;
pub(crate) mod explain;
mod growth;
mod http;
mod memory;
mod relay;
mod tails;
mod threads;
mod udp;

/// Measures a part.
///
/// # Errors
///
/// Returns an error of the system. The failure of a contestant is part of the results instead.
pub(crate) fn measure(part: Part, bench: &Bench, benches: &Path) -> io::Result<Results> {
    let machine = Machine::detect(benches)?;
    let start = Instant::now();
    let mut collected = Collected::default();
    run(part, bench, &mut collected)?;
    Ok(Results {
        part,
        quick: bench.quick,
        rounds: collected.rounds,
        took_seconds: start.elapsed().as_secs(),
        machine,
        notes: collected.notes,
        failures: collected.failures,
        samples: collected.samples,
    })
}

fn run(part: Part, bench: &Bench, collected: &mut Collected) -> io::Result<()> {
    match part {
        Part::Micro => executor::micro(bench, collected),
        Part::Curves => executor::curves(bench, collected),
        Part::Allocations => executor::allocations(bench, collected),
        Part::Echo => echo::measure(bench, collected),
        Part::Latency => echo::latency(bench, collected),
        Part::Connections => connections::measure(bench, collected),
        Part::Memory => memory::measure(bench, collected),
        Part::Syscalls => counted::syscalls(bench, collected)?,
        Part::Instructions => counted::instructions(bench, collected)?,
        Part::Growth => growth::measure(bench, collected),
        Part::Threads => threads::measure(bench, collected),
        Part::Udp => udp::measure(bench, collected),
        Part::Relay => relay::measure(bench, collected),
        Part::Http => http::measure(bench, collected),
        Part::Tails => tails::measure(bench, collected),
        Part::Explain => explain::measure(bench, collected)?,
    }
    Ok(())
}
