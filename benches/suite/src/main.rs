//! Runs all benchmarks, interleaved, and writes tables, plots and raw numbers.
//!
//! ```text
//! main --> programs   builds servers, load, micro-benchmarks and the real echo-server
//!      --> parts      what is measured: one file per part
//!            |--> contest   who takes part
//!            |--> stage     who runs when; server on one core, load on the other
//!            |      |--> server, load    processes: started, pinned, ended
//!            |      |--> stand           one that measures whenever it is asked to
//!            |--> record    every single number, with its round
//!      --> results    one JSON file per part; medians and ratios of the same round
//!            |--> markdown, plots        all that there are results of
//!            |--> targets                what was aimed at, against what was measured
//!            |--> publish                the same for the pages in docs/, when asked to
//! ```
//!
//! Ratios are taken between measurements of the same round, right after each other, and the median is
//! taken of the ratios: so a machine that is slower for a moment is so for everybody.

#![forbid(unsafe_code)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

mod contest;
mod load;
mod machine;
mod markdown;
mod parts;
mod patience;
mod plots;
mod programs;
mod publish;
mod record;
mod results;
mod server;
mod stage;
mod stand;
mod targets;

use parts::Part;
use programs::Programs;
use results::Results;
use stage::Stage;

/// Measures Wakeful beside its rivals, and writes tables, plots and raw numbers to
/// benches/results.
#[derive(Debug, Parser)]
#[command(name = "bench-suite", version)]
struct Args {
    /// A check that everything works, in about two minutes; the figures go to results/quick and
    /// mean little
    #[arg(long)]
    quick: bool,

    /// Only these parts; the results of the others stay as they are
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,..")]
    only: Vec<Part>,

    /// Other than the usual number of rounds, or, where contestants stand side by side, of sittings
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,

    /// Only those contestants whose name contains one of these words (and raw epoll and tokio, which
    /// the others are compared with)
    #[arg(long, value_delimiter = ',', value_name = "WORD,..")]
    among: Vec<String>,

    /// Measure nothing; draw tables and plots again from the raw numbers
    #[arg(long)]
    draw: bool,

    /// Afterwards, put plots and tables into docs/performance, and every figure of
    /// docs/PERFORMANCE.md and README.md anew
    #[arg(long)]
    publish: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("not everything could be measured; the results name what is missing");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench-suite: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every run succeeded.
fn run(args: &Args) -> Result<bool, Box<dyn Error>> {
    let benches = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("the package has no folder above")?;
    let directory = directory(benches, args.quick);
    let mut complete = true;
    if !args.draw {
        let parts = Part::all(&args.only);
        let programs = Programs::build(benches, &parts)?;
        let stage = Stage::new(programs, args.quick, args.rounds, args.among.clone())?;
        for part in parts {
            let results = stage.measure(part, benches)?;
            complete &= results.failures.is_empty();
            results.save(&directory)?;
        }
    }
    let all = Results::load_all(&directory)?;
    markdown::write(&directory, &all)?;
    plots::draw(&directory, &all)?;
    eprintln!("written to {}", directory.display());
    if args.publish {
        let root = benches.parent().ok_or("benches/ is in no folder")?;
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
