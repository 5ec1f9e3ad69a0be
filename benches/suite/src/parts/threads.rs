//! Part `threads`: `echo-server --threads N`, with one runtime and one listener per thread.

use std::io;

use crate::bench::{Bench, Collected};
use crate::contestants::{ECHO_SERVER, Named};
use crate::load::Load;
use crate::parts::echo;
use crate::server::Server;

/// Number of load generators. A single one would be the bottleneck.
const LOADS: usize = 2;

#[derive(Clone, Copy)]
struct Threads(&'static str, &'static str);

impl Named for Threads {
    fn name(&self) -> &'static str {
        self.1
    }
}

pub(crate) fn measure(bench: &Bench, collected: &mut Collected) {
    collected.note(
        "No process is pinned: the server and two load generators share all cores. On a machine with \
         two cores a second server thread competes with the load, so the throughput cannot double. \
         Server CPU per message shows whether the threads contend with each other.",
    );
    let contestants = [
        Threads("1", "echo-server, 1 thread"),
        Threads("2", "echo-server, 2 threads"),
    ];
    let (rounds, millis) = (bench.rounds(1, 7), bench.quick_or_full(150, 800));
    bench.in_turn(
        "threads",
        rounds,
        &[(64, 1), (64, 16)],
        &contestants,
        collected,
        |task, one, recorder| {
            let (size, depth) = *task;
            let cores = bench_common::cores()?;
            let arguments = ["--threads", one.0];
            let server = Server::start(&bench.programs, &ECHO_SERVER, &arguments, &[], &cores)?;
            let load = format!(
                "echo --clients 50 --size {size} --depth {depth} --millis {millis} --warm-up {}",
                millis / 4
            );
            let loads: io::Result<Vec<Load>> = (0..LOADS)
                .map(|_| Load::start(&bench.programs, &server, &load, &cores))
                .collect();
            let mut all = bench_load::Report::default();
            for load in loads? {
                let report = load.report()?;
                all.count += report.count;
                // The loads run at the same time and each reads the CPU of the whole server, so
                // times are averaged.
                all.seconds += report.seconds / LOADS as f64;
                all.server_cpu_seconds += report.server_cpu_seconds / LOADS as f64;
            }
            all.server_busy = all.server_cpu_seconds / all.seconds;
            server.stop()?;
            echo::add(
                recorder,
                &format!("100 clients, {size} B, {depth} at once"),
                0.0,
                &all,
            );
            Ok(())
        },
    );
}
