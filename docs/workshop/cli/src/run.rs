//! Runs one case of a check as a process, and ends it if it can never end by itself.

use std::fs;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::Problem;
use crate::layout;
use crate::report::Report;

/// The first pause between two looks at a case that runs. Each is twice as long as the one before, up to
/// `PAUSE`: most cases end within a millisecond.
const FIRST_PAUSE: Duration = Duration::from_micros(200);

/// The longest pause between two looks at a case that runs.
const PAUSE: Duration = Duration::from_millis(2);

/// Looks in a row, with all threads asleep and no CPU time used, after which a case counts as stuck.
const ASLEEP: u32 = 2_000;

/// Looks at a case, at most. Two minutes or more: no check needs a hundredth of that.
const LOOKS: u32 = 60_000;

/// CPU time of a case, in ticks of 10 ms.
const CPU_TICKS: u64 = 3_000;

/// How a case ended.
pub(crate) enum Ended {
    Passed,
    Failed(Box<Report>),
    /// This machine lacks what the check needs.
    Skipped(String),
}

/// Runs a case. `source` is the folder with the learner's files. With `show`, their output is printed.
pub(crate) fn case(out: &str, source: &str, number: usize, show: bool) -> Result<Ended, Problem> {
    // A case can run several times at once, each with a report of its own.
    static REPORTS: AtomicU64 = AtomicU64::new(0);
    let name = format!("{out}/report-{}", REPORTS.fetch_add(1, Ordering::Relaxed));
    let report = layout::path(&name);
    let _ = fs::remove_file(&report);
    let mut command = Command::new(layout::path(&format!("{out}/check")));
    command.current_dir(layout::root()).arg(number.to_string()).stdin(Stdio::null());
    command.env("WORKSHOP_REPORT", &report).env("WORKSHOP_SOURCE", format!("{source}/"));
    if !show {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }
    let child = command.spawn().map_err(|error| format!("starting {out}/check: {error}"))?;
    let stopped = wait(child)?;
    let text = fs::read_to_string(&report).unwrap_or_default();
    let _ = fs::remove_file(&report);
    if text == "ok\n" {
        return Ok(Ended::Passed);
    }
    if let Some(reason) = text.strip_prefix("skip\t") {
        return Ok(Ended::Skipped(reason.trim_end().to_owned()));
    }
    if text.is_empty() {
        let what = match stopped {
            Stopped::Ended(status) => format!("the check ended without a report: {status}"),
            Stopped::Asleep => "all threads are asleep forever".to_owned(),
            Stopped::Busy => "the check computes without an end".to_owned(),
        };
        return Ok(Ended::Failed(Box::new(Report::unexplained(&what))));
    }
    Ok(Ended::Failed(Box::new(Report::parse(&text))))
}

/// Returns what a check lists: cases, and ids with their sections.
pub(crate) fn list(out: &str) -> Result<String, Problem> {
    let output = Command::new(layout::path(&format!("{out}/check"))).arg("list").output();
    let output = output.map_err(|error| format!("starting {out}/check: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

enum Stopped {
    Ended(ExitStatus),
    Asleep,
    Busy,
}

/// Waits for a process. Returns false if it was ended because it can never end by itself.
pub(crate) fn ends(child: Child) -> Result<bool, Problem> {
    wait(child).map(|stopped| matches!(stopped, Stopped::Ended(_)))
}

fn wait(mut child: Child) -> Result<Stopped, Problem> {
    let failed = |error| format!("waiting for a check: {error}");
    let (mut looks, mut last, mut pause) = (0, 0, FIRST_PAUSE);
    for all in 0.. {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(Stopped::Ended(status));
        }
        let (asleep, ticks) = observe(child.id());
        looks = if asleep && ticks == last { looks + 1 } else { 0 };
        last = ticks;
        if looks == ASLEEP || ticks > CPU_TICKS || all == LOOKS {
            child.kill().map_err(failed)?;
            child.wait().map_err(failed)?;
            return Ok(if looks == ASLEEP { Stopped::Asleep } else { Stopped::Busy });
        }
        thread::sleep(pause);
        pause = PAUSE.min(pause * 2);
    }
    Ok(Stopped::Busy)
}

/// Returns whether all threads of a process are asleep, and the CPU time that it has used.
fn observe(id: u32) -> (bool, u64) {
    let fields = |path: String| -> Vec<String> {
        let stat = fs::read_to_string(path).unwrap_or_default();
        let rest = stat.rsplit(") ").next().unwrap_or_default();
        rest.split(' ').map(str::to_owned).collect()
    };
    let whole = fields(format!("/proc/{id}/stat"));
    let ticks = |at: usize| whole.get(at).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    let threads = fs::read_dir(format!("/proc/{id}/task"));
    let asleep = threads.into_iter().flatten().flatten().all(|thread| {
        let stat = thread.path().join("stat").to_string_lossy().into_owned();
        fields(stat).first().is_some_and(|state| state == "S")
    });
    (asleep, ticks(11) + ticks(12))
}
