//! Connections that live for one message: accepting, registering and closing are what costs.

use crate::contest::SERVERS;
use crate::stage::{Gathered, Stage};

pub(crate) fn measure(stage: &Stage, gathered: &mut Gathered) {
    gathered.note(
        "Each connection: connect, 64 bytes there and back, the client ends its direction, the \
         server closes. The round trip is the whole life of the connection.",
    );
    let contestants = stage.selected(&SERVERS);
    let (rounds, count) = (stage.rounds(1, 5), stage.either(2000, 8000));
    stage.in_turns(
        "connections",
        rounds,
        &[10, 200],
        &contestants,
        gathered,
        |at_once, one, run| {
            let load = format!("connections --count {count} --clients {at_once}");
            let report = stage.visit(one, &load)?;
            let (case, count) = (format!("{at_once} at once"), report.count as f64);
            run.add(&case, 0.0, "rate", count / report.seconds);
            run.add(&case, 0.0, "cpu", report.server_cpu_seconds * 1e6 / count);
            run.add(&case, 0.0, "p99", report.p99_us);
            Ok(())
        },
    );
}
