//! Several threads: `echo-server --threads N`, one runtime and one listener for each.

use std::io;

use crate::contest::{ECHO_SERVER, Named};
use crate::load::Load;
use crate::parts::echo;
use crate::server::Server;
use crate::stage::{Gathered, Stage};

/// How many load generators run at once: one alone would be the bottleneck.
const LOADS: usize = 2;

#[derive(Clone, Copy)]
struct Threads(&'static str, &'static str);

impl Named for Threads {
    fn name(&self) -> &'static str {
        self.1
    }
}

pub(crate) fn measure(stage: &Stage, gathered: &mut Gathered) {
    gathered.note(
        "Here nothing is kept on a core of its own: server and two load generators share all of \
         them. On a machine of two cores a second server thread competes with the load, so the \
         throughput cannot double; server CPU per message shows whether the threads get in each \
         other's way.",
    );
    let contestants = [
        Threads("1", "echo-server, 1 thread"),
        Threads("2", "echo-server, 2 threads"),
    ];
    let (rounds, millis) = (stage.rounds(1, 7), stage.either(150, 800));
    stage.in_turns(
        "threads",
        rounds,
        &[(64, 1), (64, 16)],
        &contestants,
        gathered,
        |task, one, run| {
            let (size, depth) = *task;
            let cores = bench_common::cores()?;
            let arguments = ["--threads", one.0];
            let server = Server::start(&stage.programs, &ECHO_SERVER, &arguments, &[], &cores)?;
            let load = format!(
                "echo --clients 50 --size {size} --depth {depth} --millis {millis} --warm-up {}",
                millis / 4
            );
            let loads: io::Result<Vec<Load>> = (0..LOADS)
                .map(|_| Load::start(&stage.programs, &server, &load, &cores))
                .collect();
            let mut all = bench_load::Report::default();
            for load in loads? {
                let report = load.report()?;
                all.count += report.count;
                // They run at the same time, each watches the whole server, and so both are averaged.
                all.seconds += report.seconds / LOADS as f64;
                all.server_cpu_seconds += report.server_cpu_seconds / LOADS as f64;
            }
            all.server_busy = all.server_cpu_seconds / all.seconds;
            server.stop()?;
            echo::add(
                run,
                &format!("100 clients, {size} B, {depth} at once"),
                0.0,
                &all,
            );
            Ok(())
        },
    );
}
