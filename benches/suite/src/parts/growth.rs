//! Part `growth`: cost of a message by number of connections, with and without idle connections.

use std::collections::HashMap;

use crate::bench::{Bench, Collected};
use crate::contestants::{Contestant, MINIMAL, Named, SERVERS};
use crate::parts::echo;
use crate::record::Sample;

/// Case with idle connections.
const WITH_IDLE: &str = "with idle connections";
/// Case without idle connections.
const WITHOUT_IDLE: &str = "no idle connections";

/// Descriptors reserved for anything but connections.
const RESERVE: u64 = 200;

pub(crate) fn measure(bench: &Bench, collected: &mut Collected) {
    let contestants: Vec<Contestant> = bench
        .selected(&SERVERS)
        .into_iter()
        .filter(|one| one.in_every_round() && *one != MINIMAL && one.name != "raw epoll 64K")
        .collect();
    // Each contestant takes part twice: with and without idle connections.
    let contestants: Vec<Twice> = contestants
        .into_iter()
        .flat_map(|one| [false, true].map(|with_idle| Twice { one, with_idle }))
        .collect();
    let (sizes, most_idle): (&[u64], _) =
        bench.quick_or_full((&[10, 1000], 3000), (&[10, 100, 1000, 10_000], 15_000));
    // The two ends of a connection belong to different processes, each with its own limit.
    let idle = |clients: u64| most_idle.min(bench.descriptors.saturating_sub(clients + RESERVE));
    collected.note(format!(
        "64 bytes, one message at once per connection. There are {most_idle} further connections that \
         are idle, or as many as the limit of {} descriptors per process allows: {}.",
        bench.descriptors,
        sizes
            .iter()
            .map(|&clients| format!("{} with {clients} clients", idle(clients)))
            .collect::<Vec<_>>()
            .join(", "),
    ));
    let seconds = |&clients: &u64| if clients > 1000 { 60.0 } else { 30.0 };
    // A single run, because opening 300,000 connections takes longer than the measurement.
    bench.side_by_side(
        bench.runs("growth", 1, seconds),
        sizes,
        &contestants,
        collected,
        |&clients, twice| {
            let idle = if twice.with_idle { idle(clients) } else { 0 };
            let millis = (clients / 50).max(10);
            let load = format!(
                "echo --clients {clients} --idle {idle} --millis {millis} --warm-up {}",
                millis / 4
            );
            bench.start_benchmark(&twice.one, &load)
        },
        |&clients, twice, answer, recorder| {
            let case = if twice.with_idle {
                WITH_IDLE
            } else {
                WITHOUT_IDLE
            };
            echo::read(recorder, case, clients as f64, answer)
        },
    );
    let ratios = compare(&collected.samples);
    collected.samples.extend(ratios);
}

/// A server, with or without idle connections.
#[derive(Clone, Copy)]
struct Twice {
    one: Contestant,
    with_idle: bool,
}

impl Named for Twice {
    fn name(&self) -> &'static str {
        self.one.name
    }
}

/// Returns the CPU per message with idle connections as a ratio to that without them, for the same
/// server in the same round.
fn compare(samples: &[Sample]) -> Vec<Sample> {
    let cpu = samples.iter().filter(|sample| sample.metric == "cpu");
    let (with, without): (Vec<&Sample>, Vec<&Sample>) =
        cpu.partition(|sample| sample.case == WITH_IDLE);
    let key = |one: &Sample| (one.round, one.x.to_bits(), one.contestant.clone());
    let without: HashMap<_, f64> = without
        .into_iter()
        .map(|one| (key(one), one.value))
        .collect();
    let ratio = |one: &Sample| {
        let other = without.get(&key(one))?;
        Some(Sample {
            metric: "idle-ratio".to_owned(),
            value: one.value / other,
            ..one.clone()
        })
    };
    with.into_iter().filter_map(ratio).collect()
}
