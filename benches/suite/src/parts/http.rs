//! Part `http`: requests by HTTP/1.1 and HTTP/2, and memory per idle connection, with hyper and axum.

use std::io;
use std::process::{Command, Stdio};

use bench_load::{Report, Tool};

use crate::bench::{Bench, Collected, Recorder};
use crate::contestants::HTTP_SERVERS;

/// A version of HTTP and a framework.
#[derive(Clone, Copy)]
struct Case {
    tool: Tool,
    axum: bool,
}

pub(crate) fn measure(bench: &Bench, collected: &mut Collected) {
    let count = bench.quick_or_full(1000, 5000);
    collected.note(format!(
        "`GET /` with an answer of 14 bytes, 50 connections: HTTP/1.1 by wrk, HTTP/2 by h2load with 10 \
         requests at once per connection, for a second each time. The server CPU includes that of \
         opening the connections. The servers differ only in the runtime: `TcpStream` of `wakeful-net` \
         with its feature `hyper`, and tokio's with the adapters of `hyper-util`. All have hyper's timer. \
         Memory is the growth of the server's resident memory by {count} connections, each of which has \
         had one request answered and stays open, divided by {count}.",
    ));
    requests(bench, collected);
    memory(bench, count, collected);
}

fn requests(bench: &Bench, collected: &mut Collected) {
    let mut cases = Vec::new();
    for tool in [Tool::Wrk, Tool::H2load] {
        if is_installed(tool) {
            cases.extend([false, true].map(|axum| Case { tool, axum }));
        } else {
            collected.skip(format!(
                "http: {} is not installed, so there are no requests by {} (apt-get install {})",
                tool.program(),
                version(tool),
                tool.package(),
            ));
        }
    }
    let contestants = bench.selected(&HTTP_SERVERS);
    bench.side_by_side(
        bench.runs("http", 2, |_: &_| 21.0),
        &cases,
        &contestants,
        collected,
        |case, one| {
            let server = bench.server_with(one, &case.arguments())?;
            bench.start_load(server, &format!("http --tool {}", case.tool.program()))
        },
        |case, _, answer, recorder| read(recorder, &case.title(), answer),
    );
}

fn is_installed(tool: Tool) -> bool {
    // The status of `wrk --version` is 1.
    let mut command = Command::new(tool.program());
    command.arg("--version").stdin(Stdio::null());
    command.output().is_ok()
}

const fn version(tool: Tool) -> &'static str {
    match tool {
        Tool::Wrk => "HTTP/1.1",
        Tool::H2load => "HTTP/2",
    }
}

impl Case {
    /// Returns the arguments of the server.
    fn arguments(self) -> Vec<&'static str> {
        let http2 = (self.tool == Tool::H2load).then_some("--http2");
        let axum = self.axum.then_some("--axum");
        http2.into_iter().chain(axum).collect()
    }

    fn title(self) -> String {
        let framework = if self.axum { "axum" } else { "hyper" };
        format!("{}, {framework}", version(self.tool))
    }
}

fn read(recorder: &mut Recorder<'_>, case: &str, answer: &str) -> io::Result<()> {
    let report: Report = serde_json::from_str(answer)?;
    let count = report.count as f64;
    for (metric, value) in [
        ("rate", count / report.seconds),
        ("cpu", report.server_cpu_seconds * 1e6 / count),
        ("p50", report.p50_us),
        ("p99", report.p99_us),
    ] {
        recorder.add(case, 0.0, metric, value);
    }
    Ok(())
}

fn memory(bench: &Bench, count: u32, collected: &mut Collected) {
    let cases = [("HTTP/1.1", "http1", ""), ("HTTP/2", "http2", "--http2")];
    let contestants = bench.selected(&HTTP_SERVERS);
    let rounds = collected.rounds;
    bench.in_turn(
        "http: memory",
        bench.rounds(1, 3),
        &cases,
        &contestants,
        collected,
        |&(case, exchange, argument), one, recorder| {
            let arguments: Vec<&str> = argument.split_whitespace().collect();
            let server = bench.server_with(one, &arguments)?;
            let load = format!("idle --clients {count} --exchange {exchange} --millis 10");
            let report = bench.run_load(&server, &load)?;
            server.stop()?;
            let grown = report.resident_with.saturating_sub(report.resident_before);
            let case = format!("{case}, {count} connections");
            recorder.add(&case, 0.0, "bytes", grown as f64 / report.count as f64);
            Ok(())
        },
    );
    collected.rounds = collected.rounds.max(rounds);
}
