//! Runs all benchmarks, interleaved, and writes tables, plots and samples.
//!
//! The files, from the bottom up; each imports only from files above it in this list:
//!
//! ```text
//! contestants   servers and runtimes: names, programs, colors
//! timeout       kills a process that takes too long
//! machine       description of the machine and the versions
//! part          parts and metrics, and how they are shown
//! record        samples; medians, ratios, confidence intervals
//! format        numbers, titles of rows, order of contestants
//! results       one JSON file per part
//! programs      builds servers, load, micro-benchmarks and echo-server
//! server        a server process
//! load          the load generator
//! benchmark     a process that measures on request
//! bench         runs contestants in turn or side by side; one core each for server and load
//! parts/        the measurements: echo first, because growth and threads use it; mod last
//! plots/        a plot per metric: marks, bars, dots, lines, mod
//! targets/      targets against measurements: verdict, figures, executor, servers, mod
//! markdown      RESULTS.md with all tables
//! publish/      figures for docs/ and README.md: tables, sections, mod
//! main          command line
//! ```
//!
//! A ratio is the median of ratios between measurements of the same round, which are made directly
//! after each other. A slow moment of the machine therefore affects both sides alike.

#![forbid(unsafe_code)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

mod bench;
mod benchmark;
mod contestants;
mod format;
mod load;
mod machine;
mod markdown;
mod part;
mod parts;
mod plots;
mod programs;
mod publish;
mod record;
mod results;
mod server;
mod targets;
mod timeout;

use bench::Bench;
use part::Part;
use programs::Programs;
use results::Results;

/// Measures Wakeful and its rivals, and writes tables, plots and samples to benches/results.
#[derive(Debug, Parser)]
#[command(name = "bench-suite", version)]
struct Args {
    /// Check that everything works, in about two minutes; the figures are not reliable and go to
    /// results/quick
    #[arg(long)]
    quick: bool,

    /// Measure only these parts; the results of the others are kept
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,..")]
    only: Vec<Part>,

    /// Number of rounds, or of runs for parts that measure side by side
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,

    /// Measure only contestants whose name contains one of these words, and raw epoll and tokio, which
    /// ratios refer to
    #[arg(long, value_delimiter = ',', value_name = "WORD,..")]
    among: Vec<String>,

    /// Write tables and plots from the existing results, without measuring
    #[arg(long)]
    draw: bool,

    /// Afterwards, copy plots and tables to docs/performance, and update the figures in
    /// docs/PERFORMANCE.md and README.md
    #[arg(long)]
    publish: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("some measurements failed; see the results");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench-suite: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all measurements succeeded.
fn run(args: &Args) -> Result<bool, Box<dyn Error>> {
    let benches = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("the package has no parent folder")?;
    let directory = directory(benches, args.quick);
    let mut complete = true;
    if !args.draw {
        if !programs::IS_RELEASE && !args.quick {
            return Err("without --release of cargo, only --quick and --draw are allowed".into());
        }
        let parts = Part::all(&args.only);
        let programs = Programs::build(benches, &parts)?;
        let bench = Bench::new(programs, args.quick, args.rounds, args.among.clone())?;
        for part in parts {
            let results = parts::measure(part, &bench, benches)?;
            complete &= results.failures.is_empty();
            results.save(&directory)?;
        }
    }
    let all = Results::load_all(&directory)?;
    markdown::write(&directory, &all)?;
    plots::draw(&directory, &all)?;
    eprintln!("written to {}", directory.display());
    if args.publish {
        let root = benches.parent().ok_or("benches/ has no parent folder")?;
        publish::publish(&directory, root, &all)?;
        eprintln!("published to docs/ and README.md");
    }
    Ok(complete)
}

fn directory(benches: &Path, quick: bool) -> PathBuf {
    let results = benches.join("results");
    if quick {
        results.join("quick")
    } else {
        results
    }
}
