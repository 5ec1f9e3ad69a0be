//! What a message costs as the number of connections grows, with and without idle ones beside.

use std::collections::HashMap;

use crate::contest::{Contestant, MINIMAL, Named, SERVERS};
use crate::parts::echo;
use crate::record::Sample;
use crate::stage::{Gathered, Stage};

/// The case with idle connections.
const BESIDE: &str = "idle ones beside";

/// Descriptors that are neither active nor idle connections.
const RESERVE: u64 = 200;

pub(crate) fn measure(stage: &Stage, gathered: &mut Gathered) {
    let contestants: Vec<Contestant> = stage
        .selected(&SERVERS)
        .into_iter()
        .filter(|one| one.in_every_round() && *one != MINIMAL && one.name != "raw epoll 64K")
        .collect();
    // Each takes part twice: with idle connections beside, and without.
    let contestants: Vec<Twice> = contestants
        .into_iter()
        .flat_map(|one| [false, true].map(|beside| Twice { one, beside }))
        .collect();
    let (sizes, beside): (&[u64], _) =
        stage.either((&[10, 1000], 3000), (&[10, 100, 1000, 10_000], 15_000));
    // Both ends of a connection are counted in different processes, each with its limit.
    let idle = |clients: u64| beside.min(stage.descriptors.saturating_sub(clients + RESERVE));
    gathered.note(format!(
        "64 bytes, one message at once per connection. Beside them {beside} connections are open and \
         silent, or as many as the limit of {} descriptors per process allows: {}.",
        stage.descriptors,
        sizes
            .iter()
            .map(|&clients| format!("{} beside {clients}", idle(clients)))
            .collect::<Vec<_>>()
            .join(", "),
    ));
    let seconds = |&clients: &u64| if clients > 1000 { 60.0 } else { 30.0 };
    // One sitting: opening 300,000 connections takes longer than the measurement.
    stage.side_by_side(
        stage.sittings("growth", 1, seconds),
        sizes,
        &contestants,
        gathered,
        |&clients, twice| {
            let idle = if twice.beside { idle(clients) } else { 0 };
            let millis = (clients / 50).max(10);
            let load = format!(
                "echo --clients {clients} --idle {idle} --millis {millis} --warm-up {}",
                millis / 4
            );
            stage.stand(&twice.one, &load)
        },
        |&clients, twice, answer, run| {
            let case = if twice.beside { BESIDE } else { "none idle" };
            echo::read(run, case, clients as f64, answer)
        },
    );
    let beside = compare(&gathered.samples);
    gathered.samples.extend(beside);
}

/// A server, with or without idle connections.
#[derive(Clone, Copy)]
struct Twice {
    one: Contestant,
    beside: bool,
}

impl Named for Twice {
    fn name(&self) -> &'static str {
        self.one.name
    }
}

/// For every measurement with idle connections: its CPU per message as a ratio to that of the same
/// server without them, in the same round.
fn compare(samples: &[Sample]) -> Vec<Sample> {
    let cpu = samples.iter().filter(|sample| sample.metric == "cpu");
    let (with, without): (Vec<&Sample>, Vec<&Sample>) =
        cpu.partition(|sample| sample.case == BESIDE);
    let key = |one: &Sample| (one.round, one.x.to_bits(), one.contestant.clone());
    let without: HashMap<_, f64> = without
        .into_iter()
        .map(|one| (key(one), one.value))
        .collect();
    let ratio = |one: &Sample| {
        let other = without.get(&key(one))?;
        Some(Sample {
            metric: "beside".to_owned(),
            value: one.value / other,
            ..one.clone()
        })
    };
    with.into_iter().filter_map(ratio).collect()
}
