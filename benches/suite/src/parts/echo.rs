//! Messages there and back: every combination of clients, size and depth; and few clients alone.

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

/// Bytes on the way at once from which on one run takes many seconds, and three rounds have to do.
const HEAVY: u64 = 500_000_000;

pub(crate) fn measure(stage: &Stage, gathered: &mut Gathered) {
    gathered.note(
        "Server on one core, load on the other, both busy most of the time: throughput is bounded \
         by the slower side, and the load costs about as much per message as the floor, so server \
         CPU per message is what tells servers apart. \"At once\" is how many messages each \
         connection has on the way. Servers read at most 16 KiB at once but for `raw epoll 64K` and \
         `wakeful echo-server`, which have one shared buffer of 64 KiB. The largest cell, of 1.3 GB \
         on the way, is measured in three rounds.",
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
    let rounds = stage.rounds(1, 5);
    stage.in_turns("echo", rounds, &cells, &contestants, gathered, |cell, contestant, run| {
        let Cell {
            clients,
            size,
            depth,
        } = *cell;
        let on_the_way = u64::from(clients) * u64::from(size * depth);
        if on_the_way >= HEAVY && run.round >= 3 {
            return Ok(());
        }
        // Where much is on the way at once, one time around takes long; there have to be some.
        let full = match on_the_way {
            ..50_000_000 => 300,
            50_000_000..HEAVY => 500,
            _ => 1200,
        };
        let millis = stage.either(100, full);
        let load = format!(
            "echo --clients {clients} --size {size} --depth {depth} --millis {millis} --warm-up {}",
            millis / 4
        );
        let report = stage.visit(contestant, &load)?;
        let case = format!("{size} B, {depth} at once");
        add(run, &case, f64::from(clients), &report);
        Ok(())
    });
}

/// Writes down what every report of messages tells.
pub(crate) fn add(run: &mut Run<'_>, case: &str, x: f64, report: &Report) {
    let count = report.count as f64;
    for (metric, value) in [
        ("rate", count / report.seconds),
        ("cpu", report.server_cpu_seconds * 1e6 / count),
        ("p50", report.p50_us),
        ("p99", report.p99_us),
        ("p999", report.p999_us),
        ("server-busy", report.server_cpu_seconds / report.seconds),
        ("load-busy", report.load_cpu_seconds / report.seconds),
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
    let (rounds, millis) = (stage.rounds(1, 5), stage.either(100, 400));
    stage.in_turns(
        "latency",
        rounds,
        &[1, 2],
        &contestants,
        gathered,
        |clients, one, run| {
            let load = format!("echo --clients {clients} --millis {millis} --warm-up 100");
            let report = stage.visit(one, &load)?;
            let case = match clients {
                1 => "64 B, 1 client".to_owned(),
                more => format!("64 B, {more} clients"),
            };
            add(run, &case, 0.0, &report);
            Ok(())
        },
    );
}
