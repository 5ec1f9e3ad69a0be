//! Parts `echo` (every combination of clients, message size and depth) and `latency` (one and two
//! clients).

use std::io;

use bench_load::Report;

use crate::bench::{Bench, Collected, Recorder};
use crate::contestants::{BUSY, ECHO_SERVER, SERVERS};

/// A cell of the grid.
#[derive(Clone, Copy)]
struct Cell {
    clients: u32,
    size: u32,
    depth: u32,
}

pub(crate) fn measure(bench: &Bench, collected: &mut Collected) {
    collected.note(
        "The server runs on one core and the load on the other; both are busy most of the time. The \
         slower side limits the throughput, and the load costs about as much per message as the \
         floor. Therefore server CPU per message is the better measure. \"At once\" is the number of \
         messages in flight per connection. Servers read at most 16 KiB at once, except `raw epoll \
         64K` and `wakeful echo-server`, which have one shared buffer of 64 KiB.",
    );
    let clients: &[u32] = bench.quick_or_full(&[1, 50], &[1, 50, 500, 5000]);
    let sizes: &[u32] = bench.quick_or_full(&[64, 16_384], &[64, 1024, 16_384]);
    let mut cells = Vec::new();
    for &size in sizes {
        for depth in [1, 16] {
            for &clients in clients {
                cells.push(Cell {
                    clients,
                    size,
                    depth,
                });
            }
        }
    }
    let contestants = bench.selected(&SERVERS);
    bench.side_by_side(
        bench.runs("echo", 3, |cell: &Cell| cell.seconds()),
        &cells,
        &contestants,
        collected,
        |cell, one| bench.start_benchmark(one, &cell.load()),
        |cell, _, answer, recorder| {
            let case = format!("{} B, {} at once", cell.size, cell.depth);
            read(recorder, &case, f64::from(cell.clients), answer)
        },
    );
}

impl Cell {
    /// Returns the arguments of the load. Its windows are short, so that the other contestants are
    /// measured before the machine's speed changes, and long enough for several messages on most
    /// connections.
    fn load(self) -> String {
        let Cell {
            clients,
            size,
            depth,
        } = self;
        let messages = u64::from(clients) * u64::from(depth);
        let millis = match messages * u64::from(size) {
            50_000_000.. => 100,
            _ if clients >= 5000 => 100,
            5_000_000.. => 20,
            _ if messages == 1 => 20,
            _ => 10,
        };
        let warm_up = millis / 4;
        format!(
            "echo --clients {clients} --size {size} --depth {depth} --millis {millis} --warm-up {warm_up}"
        )
    }

    /// Returns the duration of a run; it is longer with many clients because a round takes longer.
    fn seconds(self) -> f64 {
        match self.clients {
            5000.. => 25.0,
            500.. => 20.0,
            _ => 10.0,
        }
    }
}

/// Records the answer of a load that measures on request.
pub(crate) fn read(
    recorder: &mut Recorder<'_>,
    case: &str,
    x: f64,
    answer: &str,
) -> io::Result<()> {
    add(recorder, case, x, &serde_json::from_str(answer)?);
    Ok(())
}

/// Records a report of messages.
pub(crate) fn add(recorder: &mut Recorder<'_>, case: &str, x: f64, report: &Report) {
    let count = report.count as f64;
    for (metric, value) in [
        ("rate", count / report.seconds),
        ("cpu", report.server_cpu_seconds * 1e6 / count),
    ] {
        recorder.add(case, x, metric, value);
    }
    if !recorder.last {
        return;
    }
    // These values cover all measurements of the load so far.
    for (metric, value) in [
        ("p50", report.p50_us),
        ("p99", report.p99_us),
        ("p999", report.p999_us),
        ("server-busy", report.server_busy),
        ("load-busy", report.load_busy),
    ] {
        recorder.add(case, x, metric, value);
    }
}

/// Measures one and two clients, where a round trip is mostly sleep and wake-up of the cores.
pub(crate) fn latency(bench: &Bench, collected: &mut Collected) {
    collected.note(
        "Both cores are idle most of the time, so the result is mostly the time that the kernel takes \
         for sleep and wake-up. \"Busy poll\" is `--busy-poll 100us`: the server polls for up to that \
         long before it sleeps, as long as events arrive that quickly.",
    );
    let mut contestants = bench.selected(&SERVERS);
    let after = contestants.iter().position(|one| *one == ECHO_SERVER);
    contestants.insert(after.map_or(0, |place| place + 1), BUSY);
    bench.side_by_side(
        bench.runs("latency", 3, |_: &_| 10.0),
        &[1, 2],
        &contestants,
        collected,
        |clients, one| {
            let load = format!("echo --clients {clients} --millis 20 --warm-up 5");
            bench.start_benchmark(one, &load)
        },
        |clients, _, answer, recorder| {
            let case = match clients {
                1 => "64 B, 1 client".to_owned(),
                more => format!("64 B, {more} clients"),
            };
            read(recorder, &case, 0.0, answer)
        },
    );
}
