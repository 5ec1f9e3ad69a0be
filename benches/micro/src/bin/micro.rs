//! Measures work items on one runtime; prints one line of JSON for each.

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use bench_micro::Name;
use bench_micro::measure::{FIRST, Measure};
use bench_micro::work::Work;
use clap::Parser;
use serde_json::json;

#[derive(Debug, Parser)]
#[command(name = "bench-micro", version, about)]
struct Args {
    /// Runtime to measure
    #[arg(value_enum)]
    rival: Name,
    /// Work items, such as chain:0 await yield:1000 arm:100000 fire:100000
    #[arg(required = true)]
    works: Vec<Work>,
    /// Duration of the measurement of each, in milliseconds
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    millis: u64,
    /// Number of operations instead of a duration, to count instructions as a difference of two runs
    #[arg(long, conflicts_with_all = ["millis", "on_request"], value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    count: Option<u64>,
    /// Core of the second thread of the work item `thread`
    #[arg(long)]
    helper_core: Option<usize>,
    /// Measure once for every line on stdin
    #[arg(long)]
    on_request: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let first = args.count.unwrap_or(FIRST);
    let mut works: Vec<(Work, u64)> = args.works.iter().map(|&work| (work, first)).collect();
    if !args.on_request {
        return measure(&args, &mut works);
    }
    for request in io::stdin().lines() {
        request?;
        measure(&args, &mut works)?;
    }
    Ok(())
}

/// Measures every work item once, and stores the sufficient number of operations for the next time.
fn measure(args: &Args, works: &mut [(Work, u64)]) -> Result<(), Box<dyn Error>> {
    for (work, first) in works {
        let measured = args.rival.accept(Measure {
            work: *work,
            // With a target of zero the first attempt is final.
            target: Duration::from_millis(args.count.map_or(args.millis, |_| 0)),
            helper: args.helper_core,
            first: *first,
        });
        let nanoseconds = measured.time.as_secs_f64() * 1e9 / measured.count as f64;
        let enough = args.millis as f64 * 1e6 / nanoseconds;
        *first = (enough as u64).clamp(1, measured.count);
        let line = json!({
            "work": work.to_string(),
            "count": measured.count,
            "nanoseconds_each": nanoseconds,
        });
        writeln!(io::stdout(), "{line}")?;
    }
    Ok(())
}
