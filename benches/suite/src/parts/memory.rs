//! Part `memory`: memory per idle connection, and CPU and sleeps of the idle server.

use crate::bench::{Bench, Collected};
use crate::contestants::{BUSY, SERVERS};

pub(crate) fn measure(bench: &Bench, collected: &mut Collected) {
    let count = bench.quick_or_full(1000, 10_000);
    collected.note(format!(
        "Growth of the server's resident memory by {count} connections, each of which has exchanged one \
         message of 64 bytes, divided by {count}. The kernel's memory for the sockets is not included. \
         CPU and sleeps are those of the server while all connections are idle.",
    ));
    let mut contestants = bench.selected(&SERVERS);
    contestants.push(BUSY);
    let (rounds, millis) = (bench.rounds(1, 1), bench.quick_or_full(100, 1000));
    bench.in_turn(
        "memory",
        rounds,
        &[()],
        &contestants,
        collected,
        |(), one, recorder| {
            let load = format!("idle --clients {count} --millis {millis}");
            let report = bench.measure_load(one, &load)?;
            let grown = report.resident_with.saturating_sub(report.resident_before);
            let case = format!("{count} connections");
            recorder.add(&case, 0.0, "bytes", grown as f64 / report.count as f64);
            recorder.add(
                &case,
                0.0,
                "switches",
                report.switches as f64 / report.seconds,
            );
            recorder.add(
                &case,
                0.0,
                "cpu",
                report.server_cpu_seconds * 1e6 / report.seconds,
            );
            Ok(())
        },
    );
}
