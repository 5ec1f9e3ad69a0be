//! What a message costs as the number of connections grows, with and without idle ones beside.

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
    let (sizes, beside): (&[u64], _) =
        stage.either((&[10, 1000], 3000), (&[10, 100, 1000, 10_000], 15_000));
    let mut tasks = Vec::new();
    for &clients in sizes {
        for idle in [0, beside] {
            // Both ends of a connection are counted in different processes, each with its limit.
            let room = stage.descriptors.saturating_sub(clients + RESERVE);
            tasks.push((clients, idle.min(room)));
        }
    }
    gathered.note(format!(
        "64 bytes, one message at once per connection. Beside them {beside} connections are open and \
         silent, or as many as the limit of {} descriptors per process allows: {}.",
        stage.descriptors,
        tasks
            .iter()
            .filter(|(_, idle)| *idle > 0)
            .map(|(clients, idle)| format!("{idle} beside {clients}"))
            .collect::<Vec<_>>()
            .join(", "),
    ));
    let (rounds, millis) = (stage.rounds(1, 3), stage.either(100, 500));
    stage.in_turns(
        "growth",
        rounds,
        &tasks,
        &contestants,
        gathered,
        |task, one, run| {
            let (clients, idle) = *task;
            let load = format!(
                "echo --clients {clients} --idle {idle} --millis {millis} --warm-up {}",
                millis / 3
            );
            let report = stage.visit(one, &load)?;
            let case = if idle == 0 { "none idle" } else { BESIDE };
            echo::add(run, case, clients as f64, &report);
            Ok(())
        },
    );
    let beside = compare(&gathered.samples);
    gathered.samples.extend(beside);
}

/// For every run with idle connections: its CPU per message as a ratio to that of the same server
/// without them, in the same round.
fn compare(samples: &[Sample]) -> Vec<Sample> {
    let cpu = samples.iter().filter(|sample| sample.metric == "cpu");
    let (with, without): (Vec<&Sample>, Vec<&Sample>) =
        cpu.partition(|sample| sample.case == BESIDE);
    let ratio = |one: &Sample| {
        let other = without.iter().find(|other| {
            other.round == one.round && other.x == one.x && other.contestant == one.contestant
        })?;
        Some(Sample {
            metric: "beside".to_owned(),
            value: one.value / other.value,
            ..one.clone()
        })
    };
    with.into_iter().filter_map(ratio).collect()
}
