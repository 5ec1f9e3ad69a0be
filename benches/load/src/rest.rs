//! Connections that do nothing: what they cost in memory, and what a resting server does (nothing,
//! one hopes).

use std::io;
use std::thread;
use std::time::Duration;

use bench_load::{Idle, Plan, Report};

use crate::PATIENCE;
use crate::open::open;
use crate::pattern::Pattern;
use crate::watch::{Moment, resident};

/// After the last message, until the server is taken to be at rest.
const SETTLE: Duration = Duration::from_millis(50);

pub(crate) fn run(plan: &Plan, idle: &Idle) -> io::Result<Report> {
    let Some(pid) = plan.pid else {
        return Err(io::Error::other("the memory of which process? give --pid"));
    };
    let pattern = Pattern::new();
    let size = idle.size as usize;
    // One connection first, so that what the server does once for all is not counted.
    drop(open(plan.server, &pattern, 0, 1, size, PATIENCE)?);
    thread::sleep(SETTLE);
    let mut report = Report {
        resident_before: resident(pid)?,
        ..Report::default()
    };
    let count = idle.clients as usize;
    let streams = open(plan.server, &pattern, 0, count, size, PATIENCE)?;
    thread::sleep(SETTLE);
    let start = Moment::now(Some(pid))?;
    thread::sleep(Duration::from_millis(idle.millis));
    let end = Moment::now(Some(pid))?;
    start.until(&end, &mut report);
    report.resident_with = resident(pid)?;
    report.count = streams.len() as u64;
    report.idle = report.count;
    Ok(report)
}
