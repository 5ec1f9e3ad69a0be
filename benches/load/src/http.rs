//! HTTP requests by wrk (HTTP/1.1) and h2load (HTTP/2): runs the program and reads its report.
//!
//! The program inherits the core of this process. A measurement covers its whole run, from the start
//! to the exit; opening the connections is part of it.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use bench_load::{Http, Plan, Report, Tool};

use crate::latencies::Latencies;
use crate::usage::Usage;

/// Measures once, or with `--on-request` once per line of stdin. Passes every report to `output`.
pub(crate) fn run(
    plan: &Plan,
    http: &Http,
    mut output: impl FnMut(&Report) -> io::Result<()>,
) -> io::Result<()> {
    if !http.on_request {
        return output(&measure(plan, http)?);
    }
    for request in io::stdin().lines() {
        request?;
        output(&measure(plan, http)?)?;
    }
    Ok(())
}

fn measure(plan: &Plan, http: &Http) -> io::Result<Report> {
    let log = std::env::temp_dir().join(format!("bench-load-{}", std::process::id()));
    let mut command = command(plan, http, &log);
    let start = Usage::now(plan.pid)?;
    let program = http.tool.program();
    let ran = command.output().map_err(|why| {
        let package = http.tool.package();
        let text = format!("start {program}: {why} (Debian package {package})");
        io::Error::new(why.kind(), text)
    })?;
    let end = Usage::now(plan.pid)?;
    let text = String::from_utf8_lossy(&ran.stdout);
    if !ran.status.success() {
        let why = String::from_utf8_lossy(&ran.stderr);
        return Err(io::Error::other(format!("{program} failed: {why}{text}")));
    }
    let mut report = Report::default();
    start.until(&end, &mut report);
    let read = match http.tool {
        Tool::Wrk => read_wrk(&text, &mut report),
        Tool::H2load => read_h2load(&text, &mut report),
    };
    if read.is_none() || report.count == 0 {
        return Err(io::Error::other(format!(
            "{program} reports failures: {text}"
        )));
    }
    if http.tool == Tool::H2load {
        let lines = fs::read_to_string(&log)?;
        fs::remove_file(&log)?;
        read_log(&lines).report(&mut report);
    }
    Ok(report)
}

fn command(plan: &Plan, http: &Http, log: &Path) -> Command {
    let mut command = Command::new(http.tool.program());
    let (clients, seconds) = (http.clients.to_string(), http.seconds.to_string());
    match http.tool {
        Tool::Wrk => command.args(["-t1", "--latency", "-c", &clients, "-d", &seconds]),
        Tool::H2load => {
            let streams = http.streams.to_string();
            let log = log.display().to_string();
            command
                .args(["-c", &clients, "-m", &streams, "-D", &seconds])
                .args(["--log-file", &log])
        }
    };
    command.arg(format!("http://{}/", plan.server));
    command
}

/// Reads the report of wrk. Returns `None` if it lacks a figure, or names an error.
fn read_wrk(text: &str, report: &mut Report) -> Option<()> {
    if text.contains("Socket errors") || text.contains("Non-2xx") {
        return None;
    }
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["50%", time] => report.p50_us = micros(time)?,
            ["99%", time] => report.p99_us = micros(time)?,
            [count, "requests", "in", time, ..] => {
                report.count = count.parse().ok()?;
                report.seconds = micros(time.trim_end_matches(','))? / 1e6;
            }
            _ => {}
        }
    }
    (report.p99_us > 0.0).then_some(())
}

/// Returns a time such as `1.23ms` in microseconds.
fn micros(text: &str) -> Option<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 6e7)];
    let (number, factor) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    Some(number.parse::<f64>().ok()? * factor)
}

/// Reads the report of h2load. Returns `None` if it lacks a figure, or if requests failed.
fn read_h2load(text: &str, report: &mut Report) -> Option<()> {
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["finished", "in", time, rate, ..] => {
                report.seconds = micros(time.trim_end_matches(','))? / 1e6;
                let rate: f64 = rate.parse().ok()?;
                report.count = (rate * report.seconds).round() as u64;
            }
            [
                "requests:",
                ..,
                failed,
                "failed,",
                errored,
                "errored,",
                late,
                "timeout",
            ] if [failed, errored, late] != ["0"; 3] => {
                return None;
            }
            _ => {}
        }
    }
    Some(())
}

/// Reads the third column of h2load's log: the time of each request in microseconds.
fn read_log(text: &str) -> Latencies {
    let mut latencies = Latencies::new();
    for line in text.lines() {
        let time = line.split('\t').nth(2).and_then(|time| time.parse().ok());
        if let Some(time) = time {
            latencies.add(std::time::Duration::from_micros(time));
        }
    }
    latencies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_wrk_is_read() {
        let text = "Running 1s test @ http://127.0.0.1:1/\n  Latency Distribution\n     \
                    50%    1.50ms\n     99%  900.00us\n  64000 requests in 1.10s, 7MB read\n\
                    Requests/sec:  58181.8\n";
        let mut report = Report::default();
        read_wrk(text, &mut report).unwrap();
        assert_eq!((report.count, report.seconds), (64_000, 1.1));
        assert_eq!((report.p50_us, report.p99_us), (1500.0, 900.0));
        for failure in [
            "  Socket errors: connect 0, read 1",
            "  Non-2xx or 3xx responses: 7",
        ] {
            assert!(read_wrk(&format!("{text}{failure}"), &mut report).is_none());
        }
        assert!(read_wrk("", &mut Report::default()).is_none());
    }

    #[test]
    fn the_report_of_h2load_and_its_log_are_read() {
        let text = "finished in 2.00s, 100.50 req/s, 5KB/s\n\
                    requests: 201 total, 201 started, 201 done, 201 succeeded, 0 failed, 0 errored, \
                    0 timeout\n";
        let mut report = Report::default();
        read_h2load(text, &mut report).unwrap();
        assert_eq!((report.count, report.seconds), (201, 2.0));
        let failed = text.replace("0 failed", "3 failed");
        assert!(read_h2load(&failed, &mut Report::default()).is_none());
        read_log("1\t200\t1000\n2\t200\t3000\n3\t200\t2000\n").report(&mut report);
        assert!((report.p50_us - 2000.0).abs() < 10.0, "{}", report.p50_us);
    }
}
