//! `flavors compare`: measures every model as a separate process, under the same load.
//!
//! ```text
//!   for each model:   new server --> load with a time limit --> /proc --> a cell    load, process
//!                     new server --> 1,000 idle clients --> /proc ------> idle
//!                     strace ------> N requests, 2N requests; difference  calls
//!   then:             raw.json, table.md, *.svg                             table, plot
//!                     with --publish also into a page                       publish
//! ```
//!
//! A model that cannot serve a load is shown with the number of clients that it served. It takes no
//! longer to measure than the others.

mod load;
mod plot;
mod process;
mod publish;
mod result;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{Compare, Model, Trigger};
use crate::serve::raise_descriptor_limit;
use load::{Load, Rounds, Times};
use process::{Cores, Server, Started};
use result::{Calls, Comparison, Idle, Machine, Measured, Method};

/// Minimum number of calls per request for a system call to be listed. One call per burst of a
/// hundred requests is listed; one additional call at the end of a run is not.
const MIN_CALLS: f64 = 0.009;

/// The measurements of each model.
struct Plan {
    times: Times,
    loads: Vec<Load>,
    idle_clients: usize,
    idle_time: Duration,
    /// Number of clients and their requests, under strace.
    counted: Vec<(usize, Rounds)>,
}

impl Plan {
    fn full() -> Plan {
        let mut loads = Vec::new();
        for slow_reader in [false, true] {
            for clients in [1, 10, 100, 1000] {
                loads.push(Load {
                    clients,
                    slow_reader,
                    idle_clients: 0,
                });
            }
        }
        loads.push(Load {
            clients: 10,
            slow_reader: false,
            idle_clients: 1000,
        });
        Plan {
            times: Times {
                begin: Duration::from_secs(2),
                warm_up: Duration::from_millis(300),
                measured: Duration::from_secs(2),
            },
            loads,
            idle_clients: 1000,
            idle_time: Duration::from_secs(1),
            counted: vec![
                (1, Rounds::new(150, Duration::from_millis(3))),
                (100, Rounds::new(12, Duration::from_millis(40))),
            ],
        }
    }

    fn quick() -> Plan {
        let mut plan = Plan::full();
        plan.times = Times {
            begin: Duration::from_millis(200),
            warm_up: Duration::from_millis(50),
            measured: Duration::from_millis(150),
        };
        plan.loads.retain(|load| load.clients < 1000);
        plan.idle_clients = 100;
        for load in &mut plan.loads {
            load.idle_clients = load.idle_clients.min(100);
        }
        plan.idle_time = Duration::from_millis(200);
        plan.counted = vec![(1, Rounds::new(20, Duration::from_millis(3)))];
        plan
    }

    fn steps(&self, counts: bool) -> u64 {
        let counted = if counts { self.counted.len() } else { 0 };
        (self.loads.len() + 1 + counted) as u64
    }
}

/// Measures the models, or reads an earlier run, and writes the results.
pub(crate) fn compare(args: &Compare) -> io::Result<ExitCode> {
    let mut found = match &args.from {
        Some(path) => serde_json::from_str(&fs::read_to_string(path)?)?,
        None => measure(args)?,
    };
    if args.remark.is_some() {
        found.remark.clone_from(&args.remark);
    }
    fs::create_dir_all(&args.out)?;
    fs::write(
        args.out.join("raw.json"),
        serde_json::to_string_pretty(&found)? + "\n",
    )?;
    let table = table::table(&found);
    fs::write(args.out.join("table.md"), &table)?;
    plot::draw_all(&found, &args.out)?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{table}")?;
    writeln!(
        stdout,
        "Table, plots and raw numbers: {}",
        args.out.display()
    )?;
    if let Some(page) = &args.publish {
        publish::publish(&found, &table, &args.out, page)?;
        writeln!(stdout, "Published: {}", page.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the name and the arguments of each variant. The event loop has two.
fn variants(only: &[Model]) -> Vec<(String, Vec<String>)> {
    let mut variants = Vec::new();
    for model in Model::value_variants() {
        if !only.is_empty() && !only.contains(model) {
            continue;
        }
        let arguments = vec!["--model".to_owned(), model.to_string()];
        if *model == Model::EventLoop {
            for trigger in Trigger::value_variants() {
                let more = ["--trigger".to_owned(), trigger.to_string()];
                let arguments = arguments.iter().cloned().chain(more).collect();
                variants.push((format!("{model} ({trigger})"), arguments));
            }
        } else {
            variants.push((model.to_string(), arguments));
        }
    }
    variants
}

fn measure(args: &Compare) -> io::Result<Comparison> {
    raise_descriptor_limit();
    let plan = if args.quick {
        Plan::quick()
    } else {
        Plan::full()
    };
    // Before this process is pinned to one core.
    let machine = Machine::this();
    let cores = Cores::take();
    let counts = process::can_count();
    fs::create_dir_all(&args.out)?;
    let variants = variants(&args.models);
    let progress = Progress::new(plan.steps(counts) * variants.len() as u64);
    let models = variants
        .iter()
        .map(|(name, arguments)| {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let scratch = args.out.join("strace.txt");
            let counts = counts.then_some(&*scratch);
            let model = measure_model(name, &arguments, &plan, cores, counts, &progress);
            model.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))
        })
        .collect::<io::Result<_>>()?;
    progress.finish();
    if counts {
        fs::remove_file(args.out.join("strace.txt")).ok();
    }
    Ok(Comparison {
        machine,
        method: Method {
            quick: args.quick,
            warm_up_seconds: plan.times.warm_up.as_secs_f64(),
            measured_seconds: plan.times.measured.as_secs_f64(),
            value_bytes: load::VALUE_BYTES,
            pinned: cores.is_some(),
        },
        remark: None,
        models,
    })
}

fn measure_model(
    name: &str,
    arguments: &[&str],
    plan: &Plan,
    cores: Option<Cores>,
    counts: Option<&Path>,
    progress: &Progress,
) -> io::Result<Measured> {
    let mut measured = Measured {
        name: name.to_owned(),
        skipped: None,
        cells: Vec::new(),
        idle: None,
        calls: Vec::new(),
    };
    for load in &plan.loads {
        progress.step(format_args!("{name}: {}", table::label(load)));
        match Server::start(arguments, cores)? {
            Started::Server(server) => {
                measured.cells.push(load::run(&server, *load, plan.times)?);
                server.end()?;
            }
            Started::Skipped(reason) => {
                measured.skipped = Some(reason);
                progress.skip(plan.steps(counts.is_some()) - 1);
                return Ok(measured);
            }
        }
    }
    progress.step(format_args!("{name}: {} idle clients", plan.idle_clients));
    if let Started::Server(server) = Server::start(arguments, cores)? {
        measured.idle = Some(idle(&server, plan)?);
        server.end()?;
    }
    if let Some(scratch) = counts {
        for (clients, rounds) in &plan.counted {
            progress.step(format_args!("{name}: {clients} clients under strace"));
            let per_request = count(arguments, cores, scratch, *clients, *rounds)?;
            measured.calls.push(Calls {
                clients: *clients,
                per_request,
            });
        }
    }
    Ok(measured)
}

/// Measures a server with idle clients.
fn idle(server: &Server, plan: &Plan) -> io::Result<Idle> {
    // Served requests first, so that memory allocated for the first client is not counted.
    load::run_rounds(server.address, 1, Rounds::new(2, Duration::from_millis(1)))?;
    thread::sleep(Duration::from_millis(20));
    let (alone, open) = (server.stats()?, server.descriptors());
    let clients = load::connect_many(server.address, plan.idle_clients)?;
    let accepted = || server.descriptors().saturating_sub(open);
    let deadline = Instant::now() + Duration::from_millis(300);
    while accepted() < clients.len() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(Duration::from_millis(50));
    let (before, begin) = (server.stats()?, Instant::now());
    thread::sleep(plan.idle_time);
    let (after, seconds) = (server.stats()?, begin.elapsed().as_secs_f64());
    let switches = |stats: process::Stats| stats.voluntary + stats.involuntary;
    Ok(Idle {
        clients: clients.len(),
        accepted: accepted(),
        seconds,
        cpu_seconds: (after.cpu - before.cpu).as_secs_f64(),
        switches: switches(after).saturating_sub(switches(before)),
        threads: after.threads,
        resident_kib: after.resident_kib,
        resident_kib_alone: alone.resident_kib,
    })
}

/// Returns the system calls per request, or `None` if not every request was answered.
///
/// Computed from the difference of a run with 2n requests and one with n. So the calls for start,
/// accept and shutdown cancel out.
fn count(
    arguments: &[&str],
    cores: Option<Cores>,
    scratch: &Path,
    clients: usize,
    rounds: Rounds,
) -> io::Result<Option<BTreeMap<String, f64>>> {
    let mut counts = Vec::new();
    for rounds in [rounds, Rounds::new(2 * rounds.number, rounds.period)] {
        let Started::Server(server) = Server::start_counted(arguments, cores, scratch)? else {
            return Ok(None);
        };
        let answered = load::run_rounds(server.address, clients, rounds)?;
        let calls = server.end()?;
        if answered != clients * rounds.number as usize {
            return Ok(None);
        }
        counts.push(calls);
    }
    let requests = clients as f64 * f64::from(rounds.number);
    let (once, twice) = (&counts[0], &counts[1]);
    let per_request = twice.iter().map(|(name, calls)| {
        let more = calls.saturating_sub(once.get(name).copied().unwrap_or(0));
        (name.clone(), more as f64 / requests)
    });
    let listed = per_request.filter(|(_, calls)| *calls >= MIN_CALLS);
    Ok(Some(listed.collect()))
}

/// Progress display: a bar on a terminal, otherwise a line per step.
struct Progress {
    bar: ProgressBar,
}

impl Progress {
    fn new(steps: u64) -> Progress {
        let bar = ProgressBar::new(steps);
        let style = "{bar:30} {pos}/{len}  {elapsed} (about {eta} left)  {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress { bar }
    }

    fn step(&self, what: std::fmt::Arguments<'_>) {
        if self.bar.is_hidden() {
            let (position, length) = (self.bar.position() + 1, self.bar.length().unwrap_or(0));
            writeln!(io::stderr(), "{position}/{length}  {what}").ok();
        }
        self.bar.set_message(what.to_string());
        self.bar.inc(1);
    }

    fn skip(&self, steps: u64) {
        self.bar.inc(steps);
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
