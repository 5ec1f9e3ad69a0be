//! Part `relay`: bytes through a relay, in pieces and in bulk.

use std::io;

use bench_load::Report;

use crate::bench::{Bench, Collected, Recorder};
use crate::contestants::RELAYS;

/// Pieces, and how many of them are in flight.
#[derive(Clone, Copy)]
struct Cell {
    size: u32,
    window: u32,
}

/// Bytes in a GiB.
const GIB: f64 = (1_u64 << 30) as f64;

pub(crate) fn measure(bench: &Bench, collected: &mut Collected) {
    collected.note(
        "The relay connects every two connections that it accepts to each other, and runs on one core. \
         The load, on the other core, sends pieces on one connection and receives them from the other. \
         \"1 at once\": the next piece is sent when the last one has arrived, so that the relay has \
         exactly one piece to pass on. \"32 at once\": the relay meets as many bytes as the kernel's \
         buffers hold. `wakeful` is `wakeful_net::io::copy_bidirectional`, `wakeful, copy` is \
         `wakeful::io::copy_bidirectional`. All buffers have 16 KiB.",
    );
    let sizes: &[u32] = bench.quick_or_full(&[64, 65_536], &[64, 1024, 16_384, 65_536, 262_144]);
    let cells: Vec<Cell> = sizes
        .iter()
        .flat_map(|&size| [1, 32].map(|window| Cell { size, window }))
        .collect();
    let contestants = bench.selected(&RELAYS);
    bench.side_by_side(
        bench.runs("relay", 3, |_: &_| 10.0),
        &cells,
        &contestants,
        collected,
        |cell, one| bench.start_benchmark(one, &cell.load()),
        |cell, _, answer, recorder| cell.read(recorder, answer),
    );
}

impl Cell {
    fn load(self) -> String {
        let Cell { size, window } = self;
        let millis = if u64::from(size) * u64::from(window) < 1 << 20 {
            10
        } else {
            30
        };
        format!("relay --size {size} --window {window} --millis {millis} --warm-up 3")
    }

    fn read(self, recorder: &mut Recorder<'_>, answer: &str) -> io::Result<()> {
        let report: Report = serde_json::from_str(answer)?;
        let case = format!("{} B, {} at once", self.size, self.window);
        let gib = report.count as f64 * f64::from(self.size) / GIB;
        for (metric, value) in [
            ("cpu", report.server_cpu_seconds * 1e3 / gib),
            ("rate", gib / report.seconds),
        ] {
            recorder.add(&case, 0.0, metric, value);
        }
        if recorder.last {
            recorder.add(&case, 0.0, "server-busy", report.server_busy);
            recorder.add(&case, 0.0, "load-busy", report.load_busy);
        }
        Ok(())
    }
}
