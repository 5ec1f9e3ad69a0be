//! Measures some works on one runtime; prints one line of JSON for each.

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use bench_micro::Name;
use bench_micro::measure::Measure;
use bench_micro::work::Work;
use clap::Parser;
use serde_json::json;

#[derive(Debug, Parser)]
#[command(name = "bench-micro", version, about)]
struct Args {
    /// Which runtime
    #[arg(value_enum)]
    rival: Name,
    /// Which works, such as chain:0 await yield:1000 arm:100000 fire:100000
    #[arg(required = true)]
    works: Vec<Work>,
    /// For how long to measure each, in milliseconds
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    millis: u64,
    /// The core for the second thread of the work `thread`
    #[arg(long)]
    helper_core: Option<usize>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    for work in args.works {
        let done = args.rival.accept(Measure {
            work,
            target: Duration::from_millis(args.millis),
            helper: args.helper_core,
        });
        let nanoseconds = done.time.as_secs_f64() * 1e9 / done.count as f64;
        let line = json!({
            "work": work.to_string(),
            "count": done.count,
            "nanoseconds_each": nanoseconds,
        });
        writeln!(io::stdout(), "{line}")?;
    }
    Ok(())
}
