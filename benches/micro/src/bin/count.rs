//! Counts the allocations of one runtime; prints one line of JSON.

use std::error::Error;
use std::io::{self, Write};

use bench_micro::Name;
use bench_micro::count::Count;
use bench_micro::sys::Counting;
use clap::Parser;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Debug, Parser)]
#[command(name = "bench-count", version, about)]
struct Args {
    /// Runtime to measure
    #[arg(value_enum)]
    rival: Name,
    /// Number of operations, and of tasks
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    count: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let counts = args.rival.accept(Count { n: args.count });
    writeln!(io::stdout(), "{}", serde_json::to_string(&counts)?)?;
    Ok(())
}
