//! Part `tails`: times of small messages on a server that is busy with other work.

use std::io;

use bench_load::Report;

use crate::bench::{Bench, Collected, Recorder};
use crate::contestants::MIXED_SERVERS;

/// The load, without its durations.
const LOAD: &str = "mixed --clients 1000 --rate 10000 --streams 4 --window 262144";

pub(crate) fn measure(bench: &Bench, collected: &mut Collected) {
    collected.note(
        "1,000 clients send 10,000 messages of 64 bytes per second in total, at fixed times, while four \
         clients stream bytes with 256 KiB in flight each. Beside the echo the server has 50,000 \
         sleeping tasks of which 5,000 expire per second, spawns 50,000 short tasks per second, and is \
         woken 1,000 times per second by a thread. The time of a message begins when it is due, so it \
         includes waiting behind an earlier one. Every server is measured for a second; percentiles are \
         over the 10,000 messages of that second.",
    );
    let millis = bench.quick_or_full(200, 1000);
    let contestants = bench.selected(&MIXED_SERVERS);
    bench.side_by_side(
        bench.runs("tails", 2, |_: &_| 60.0),
        &[()],
        &contestants,
        collected,
        |(), one| {
            let load = format!("{LOAD} --millis {millis} --warm-up {}", millis / 4);
            bench.start_benchmark(one, &load)
        },
        |(), _, answer, recorder| read(recorder, answer),
    );
}

fn read(recorder: &mut Recorder<'_>, answer: &str) -> io::Result<()> {
    let report: Report = serde_json::from_str(answer)?;
    for (case, metric, value) in [
        ("median", "time", report.p50_us),
        ("99 %", "time", report.p99_us),
        ("99.9 %", "time", report.p999_us),
        (
            "four streams",
            "streamed",
            report.streamed as f64 / report.seconds / 1e6,
        ),
        ("all work", "server-busy", report.server_busy),
        ("all work", "load-busy", report.load_busy),
    ] {
        recorder.add(case, 0.0, metric, value);
    }
    Ok(())
}
