//! Idle connections: their memory in the server, and CPU and sleeps of the idle server.

use std::io;
use std::thread;
use std::time::Duration;

use bench_load::{Exchange, Idle, Plan, Report};

use crate::TIMEOUT;
use crate::open::open;
use crate::pattern::Pattern;
use crate::request::{self, Version};
use crate::usage::{Usage, resident};

/// Time after the last message until the server is assumed to be idle.
const SETTLE: Duration = Duration::from_millis(50);

pub(crate) fn run(plan: &Plan, idle: &Idle) -> io::Result<Report> {
    let Some(pid) = plan.pid else {
        return Err(io::Error::other("idle: --pid is required"));
    };
    let pattern = Pattern::new();
    let size = idle.size as usize;
    let open = |count| match idle.exchange {
        Exchange::Message => open(plan.server, &pattern, 0, count, size, TIMEOUT),
        Exchange::Http1 => request::open(plan.server, count, Version::Http1),
        Exchange::Http2 => request::open(plan.server, count, Version::Http2),
    };
    // One connection first, so that one-time allocations of the server are not counted.
    drop(open(1)?);
    thread::sleep(SETTLE);
    let mut report = Report {
        resident_before: resident(pid)?,
        ..Report::default()
    };
    let count = idle.clients as usize;
    let streams = open(count)?;
    thread::sleep(SETTLE);
    let start = Usage::now(Some(pid))?;
    thread::sleep(Duration::from_millis(idle.millis));
    let end = Usage::now(Some(pid))?;
    start.until(&end, &mut report);
    report.resident_with = resident(pid)?;
    report.count = streams.len() as u64;
    report.idle = report.count;
    Ok(report)
}
