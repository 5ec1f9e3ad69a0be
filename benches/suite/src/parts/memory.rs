//! Connections at rest: what they cost in memory, and whether the server rests as well.

use crate::contest::{BUSY, SERVERS};
use crate::stage::{Gathered, Stage};

pub(crate) fn measure(stage: &Stage, gathered: &mut Gathered) {
    let count = stage.either(1000, 10_000);
    gathered.note(format!(
        "Resident memory of the server process with {count} connections, each of which has exchanged \
         one message of 64 bytes, minus that before them, divided by {count}. The kernel's memory for \
         the sockets is not in it. Then the server is watched while nothing happens.",
    ));
    let mut contestants = stage.selected(&SERVERS);
    contestants.push(BUSY);
    let (rounds, millis) = (stage.rounds(1, 1), stage.either(100, 1000));
    stage.in_turns(
        "memory",
        rounds,
        &[()],
        &contestants,
        gathered,
        |(), one, run| {
            let load = format!("idle --clients {count} --millis {millis}");
            let report = stage.visit(one, &load)?;
            let grown = report.resident_with.saturating_sub(report.resident_before);
            let case = format!("{count} connections");
            run.add(&case, 0.0, "bytes", grown as f64 / report.count as f64);
            run.add(
                &case,
                0.0,
                "switches",
                report.switches as f64 / report.seconds,
            );
            run.add(
                &case,
                0.0,
                "cpu",
                report.server_cpu_seconds * 1e6 / report.seconds,
            );
            Ok(())
        },
    );
}
