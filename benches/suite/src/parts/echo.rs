//! Messages there and back: every combination of clients, size and depth; and few clients alone.

use std::io;

use bench_load::Report;

use crate::contest::{BUSY, ECHO_SERVER, SERVERS};
use crate::stage::{Gathered, Run, Stage};

/// A cell of the grid.
#[derive(Clone, Copy)]
struct Cell {
    clients: u32,
    size: u32,
    depth: u32,
}

pub(crate) fn measure(stage: &Stage, gathered: &mut Gathered) {
    gathered.note(
        "Server on one core, load on the other, both busy most of the time: throughput is bounded \
         by the slower side, and the load costs about as much per message as the floor, so server \
         CPU per message is what tells servers apart. \"At once\" is how many messages each \
         connection has on the way. Servers read at most 16 KiB at once but for `raw epoll 64K` and \
         `wakeful echo-server`, which have one shared buffer of 64 KiB.",
    );
    let clients: &[u32] = stage.either(&[1, 50], &[1, 50, 500, 5000]);
    let sizes: &[u32] = stage.either(&[64, 16_384], &[64, 1024, 16_384]);
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
    let contestants = stage.selected(&SERVERS);
    stage.side_by_side(
        stage.sittings("echo", 3, |cell: &Cell| cell.seconds()),
        &cells,
        &contestants,
        gathered,
        |cell, one| stage.stand(one, &cell.load()),
        |cell, _, answer, run| {
            let case = format!("{} B, {} at once", cell.size, cell.depth);
            read(run, &case, f64::from(cell.clients), answer)
        },
    );
}

impl Cell {
    /// For how long messages begin: as short as can be, so that others are measured before the machine
    /// changes, but for most connections several times around.
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

    /// How long the cell is measured in one sitting: with many clients a round takes longer.
    fn seconds(self) -> f64 {
        match self.clients {
            5000.. => 25.0,
            500.. => 20.0,
            _ => 10.0,
        }
    }
}

/// Writes down what a load answers that is asked again and again.
pub(crate) fn read(run: &mut Run<'_>, case: &str, x: f64, answer: &str) -> io::Result<()> {
    add(run, case, x, &serde_json::from_str(answer)?);
    Ok(())
}

/// Writes down what every report of messages tells.
pub(crate) fn add(run: &mut Run<'_>, case: &str, x: f64, report: &Report) {
    let count = report.count as f64;
    for (metric, value) in [
        ("rate", count / report.seconds),
        ("cpu", report.server_cpu_seconds * 1e6 / count),
    ] {
        run.add(case, x, metric, value);
    }
    if !run.last {
        return;
    }
    // The load tells of all its measurements.
    for (metric, value) in [
        ("p50", report.p50_us),
        ("p99", report.p99_us),
        ("p999", report.p999_us),
        ("server-busy", report.server_busy),
        ("load-busy", report.load_busy),
    ] {
        run.add(case, x, metric, value);
    }
}

/// One and two clients: here the time goes into putting the core to sleep and waking it.
pub(crate) fn latency(stage: &Stage, gathered: &mut Gathered) {
    gathered.note(
        "Both cores are mostly asleep; what is measured is how the kernel puts them to sleep and \
         wakes them. \"Busy poll\" is `--busy-poll 100us`: the server looks again for that long before \
         it sleeps, while traffic keeps coming that quickly.",
    );
    let mut contestants = stage.selected(&SERVERS);
    let after = contestants.iter().position(|one| *one == ECHO_SERVER);
    contestants.insert(after.map_or(0, |place| place + 1), BUSY);
    stage.side_by_side(
        stage.sittings("latency", 3, |_: &_| 10.0),
        &[1, 2],
        &contestants,
        gathered,
        |clients, one| {
            let load = format!("echo --clients {clients} --millis 20 --warm-up 5");
            stage.stand(one, &load)
        },
        |clients, _, answer, run| {
            let case = match clients {
                1 => "64 B, 1 client".to_owned(),
                more => format!("64 B, {more} clients"),
            };
            read(run, &case, 0.0, answer)
        },
    );
}
