//! Part `connections`: short connections with one message each. It measures accept, register, close.

use crate::bench::{Bench, Collected};
use crate::contestants::SERVERS;

pub(crate) fn measure(bench: &Bench, collected: &mut Collected) {
    collected.note(
        "Each connection: connect, echo 64 bytes, shut down the client's direction, wait until the \
         server closes. The round trip covers the whole connection.",
    );
    let contestants = bench.selected(&SERVERS);
    let (rounds, count) = (bench.rounds(1, 15), bench.quick_or_full(2000, 8000));
    bench.in_turn(
        "connections",
        rounds,
        &[1, 10, 200],
        &contestants,
        collected,
        |at_once, one, recorder| {
            let load = format!("connections --count {count} --clients {at_once}");
            let report = bench.measure_load(one, &load)?;
            let (case, count) = (format!("{at_once} at once"), report.count as f64);
            recorder.add(&case, 0.0, "rate", count / report.seconds);
            recorder.add(&case, 0.0, "cpu", report.server_cpu_seconds * 1e6 / count);
            recorder.add(&case, 0.0, "p99", report.p99_us);
            Ok(())
        },
    );
}
