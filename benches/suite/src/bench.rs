//! Runs contestants in turn or side by side, each process pinned to its core, with progress shown.
//!
//! ```text
//! in_turn         A B C  B C A  ..          each letter: a fresh process, which measures once
//! side_by_side    run: start A B C          all processes stay, idle unless asked
//!                      ask b a c  c a b  .. hundreds of rounds of some milliseconds each
//!                      stop A B C
//! ```
//!
//! `side_by_side` is for results that differ by one or two percent. The speed of a virtual machine
//! changes by 10 to 30 % from one tenth of a second to the next, depending on its neighbors. So
//! contestants must be measured within a shorter time than that, and very often.
//!
//! Called by `parts`; calls [`Server`], [`Load`] and [`Benchmark`].

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use bench_load::Report;
use indicatif::{ProgressBar, ProgressStyle};

use crate::benchmark::Benchmark;
use crate::contestants::{Contestant, FLOOR, Named, TOKIO};
use crate::load::{self, Load};
use crate::programs::Programs;
use crate::record::Sample;
use crate::server::Server;

/// Settings that all measurements share.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) programs: Programs,
    pub(crate) quick: bool,
    rounds: Option<u32>,
    among: Vec<String>,
    /// Core of the server and of the micro-benchmarks.
    pub(crate) server_core: usize,
    /// Core of the load and of a second thread.
    pub(crate) load_core: usize,
    pub(crate) descriptors: u64,
}

/// Results that a part has collected so far.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) rounds: u32,
    pub(crate) notes: Vec<String>,
    pub(crate) failures: Vec<String>,
    pub(crate) samples: Vec<Sample>,
}

impl Collected {
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Prints what is not measured and why, and keeps it for the results.
    pub(crate) fn skip(&mut self, failure: String) {
        eprintln!("SKIPPED {failure}");
        self.failures.push(failure);
    }

    /// Prints a failure and keeps it for the results.
    fn fail(&mut self, bar: &ProgressBar, title: &str, name: &str, error: &io::Error) {
        let failure = format!("{title}, {name}: {error}");
        bar.suspend(|| eprintln!("{failure}"));
        self.failures.push(failure);
    }
}

/// Stores the values of one contestant in one round.
#[derive(Debug)]
pub(crate) struct Recorder<'a> {
    pub(crate) round: u32,
    /// Whether this is the last round of these processes; values over all rounds are recorded here.
    pub(crate) last: bool,
    contestant: &'static str,
    samples: &'a mut Vec<Sample>,
}

impl Recorder<'_> {
    /// Adds one value.
    pub(crate) fn add(&mut self, case: &str, x: f64, metric: &str, value: f64) {
        self.samples.push(Sample {
            case: case.to_owned(),
            x,
            contestant: self.contestant.to_owned(),
            metric: metric.to_owned(),
            round: self.round,
            value: six_digits(value),
        });
    }
}

/// Rounds to six significant digits, which keeps the result files small.
fn six_digits(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

impl Bench {
    /// Chooses the cores and raises the limit on descriptors.
    ///
    /// # Errors
    ///
    /// Returns an error if there are fewer than two cores.
    pub(crate) fn new(
        programs: Programs,
        quick: bool,
        rounds: Option<u32>,
        among: Vec<String>,
    ) -> io::Result<Bench> {
        let cores = bench_common::cores()?;
        let [server_core, load_core, ..] = cores[..] else {
            let why = "two cores are needed: one for the server, one for the load";
            return Err(io::Error::other(why));
        };
        Ok(Bench {
            programs,
            quick,
            rounds,
            among,
            server_core,
            load_core,
            descriptors: bench_common::raise_descriptor_limit()?,
        })
    }

    /// Returns `quick` in a quick run, else `full`.
    pub(crate) fn quick_or_full<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Returns the number of rounds: `--rounds` if given, else one of these.
    pub(crate) fn rounds(&self, quick: u32, full: u32) -> u32 {
        self.rounds.unwrap_or(self.quick_or_full(quick, full))
    }

    /// Plans `count` runs (or `--rounds` of them) of `seconds` for each task.
    pub(crate) fn runs<S>(&self, title: &'static str, count: u32, seconds: S) -> Runs<S> {
        Runs {
            title,
            count: self.rounds(1, count),
            seconds,
            min_rounds: self.quick_or_full(2, 3),
        }
    }

    /// Returns the contestants selected by `--among`, and the references of ratios.
    pub(crate) fn selected<C: Named>(&self, all: &[C]) -> Vec<C> {
        let wanted = |name: &str| {
            self.among.is_empty()
                || [FLOOR, TOKIO].contains(&name)
                || self.among.iter().any(|word| name.contains(word.as_str()))
        };
        let selected = all.iter().filter(|one| wanted(one.name()));
        selected.copied().collect()
    }

    /// Runs every task on every contestant, `rounds` times, one fresh process after the other.
    ///
    /// Some contestants take part less often, see [`Named::in_every_round`]. The contestants of one
    /// task run directly after each other, and the first of them changes from round to round. A
    /// failure is recorded, and the other contestants continue.
    pub(crate) fn in_turn<C: Named, T>(
        &self,
        title: &str,
        rounds: u32,
        tasks: &[T],
        contestants: &[C],
        collected: &mut Collected,
        mut run: impl FnMut(&T, &C, &mut Recorder<'_>) -> io::Result<()>,
    ) {
        collected.rounds = rounds;
        let count = (0..rounds).flat_map(|round| {
            contestants
                .iter()
                .filter(move |one| takes_part(*one, round))
        });
        let bar = progress(title, (count.count() * tasks.len()) as u64);
        for round in 0..rounds {
            print_line(|| format!("{title}: round {} of {rounds}", round + 1));
            for task in tasks {
                for turn in 0..contestants.len() {
                    let contestant = &contestants[(turn + round as usize) % contestants.len()];
                    if !takes_part(contestant, round) {
                        continue;
                    }
                    let name = contestant.name();
                    bar.set_message(name);
                    let mut recorder = Recorder {
                        round,
                        last: true,
                        contestant: name,
                        samples: &mut collected.samples,
                    };
                    if let Err(error) = run(task, contestant, &mut recorder) {
                        collected.fail(&bar, title, name, &error);
                    }
                    bar.inc(1);
                }
            }
        }
        bar.finish_and_clear();
    }

    /// Measures each task on all contestants side by side.
    ///
    /// All benchmarks of a task are started together (`start`). Each round asks them one after the
    /// other, in a random order, and records their answers (`read`), for the time in [`Runs`]. A
    /// benchmark that fails is removed from the run.
    pub(crate) fn side_by_side<C: Named, T, S: Fn(&T) -> f64>(
        &self,
        runs: Runs<S>,
        tasks: &[T],
        contestants: &[C],
        collected: &mut Collected,
        start: impl Fn(&T, &C) -> io::Result<Benchmark>,
        read: impl Fn(&T, &C, &str, &mut Recorder<'_>) -> io::Result<()>,
    ) {
        let title = runs.title;
        let bar = progress(title, u64::from(runs.count) * tasks.len() as u64);
        let mut random = Random::default();
        // Rounds are numbered consecutively per task, over all runs.
        let mut rounds = vec![0; tasks.len()];
        for run in 0..runs.count {
            print_line(|| format!("{title}: run {} of {}", run + 1, runs.count));
            for (task, round) in tasks.iter().zip(&mut rounds) {
                let mut started: Vec<(&C, Benchmark)> = Vec::new();
                for one in contestants.iter().filter(|one| takes_part(*one, run)) {
                    bar.set_message(one.name());
                    match start(task, one) {
                        Ok(benchmark) => started.push((one, benchmark)),
                        Err(error) => collected.fail(&bar, title, one.name(), &error),
                    }
                }
                bar.set_message("all");
                let time = Duration::from_secs_f64(self.quick_or_full(0.3, (runs.seconds)(task)));
                let begun = Instant::now();
                for count in 1.. {
                    let last = count >= runs.min_rounds && begun.elapsed() >= time;
                    random.shuffle(&mut started);
                    let failed =
                        ask_all(&mut started, *round, last, collected, |one, answer, to| {
                            read(task, one, answer, to)
                        });
                    for (name, error) in failed {
                        collected.fail(&bar, title, name, &error);
                    }
                    *round += 1;
                    if last || started.is_empty() {
                        break;
                    }
                }
                for (one, benchmark) in started {
                    if let Err(error) = benchmark.stop() {
                        collected.fail(&bar, title, one.name(), &error);
                    }
                }
                bar.inc(1);
            }
        }
        collected.rounds = rounds.into_iter().fold(collected.rounds, u32::max);
        bar.finish_and_clear();
    }

    /// Starts a server on its core.
    pub(crate) fn server(&self, contestant: &Contestant) -> io::Result<Server> {
        self.server_with(contestant, &[])
    }

    /// Starts a server with more arguments on its core.
    pub(crate) fn server_with(
        &self,
        contestant: &Contestant,
        arguments: &[&str],
    ) -> io::Result<Server> {
        let cores = [self.server_core];
        Server::start(&self.programs, contestant, arguments, &[], &cores)
    }

    /// Runs one load against a server, from the other core.
    pub(crate) fn run_load(&self, server: &Server, arguments: &str) -> io::Result<Report> {
        Load::start(&self.programs, server, arguments, &[self.load_core])?.report()
    }

    /// Starts a server on its core, and on the other core a load that measures on request.
    pub(crate) fn start_benchmark(
        &self,
        contestant: &Contestant,
        arguments: &str,
    ) -> io::Result<Benchmark> {
        let server = self.server(contestant)?;
        self.start_load(server, arguments)
    }

    /// Starts a load on its core that measures a running server on request.
    pub(crate) fn start_load(&self, server: Server, arguments: &str) -> io::Result<Benchmark> {
        let command = load::command(&self.programs, &server, arguments);
        Benchmark::start(command, &[self.load_core], Some(server))
    }

    /// Starts a server, runs one load against it and stops it.
    pub(crate) fn measure_load(
        &self,
        contestant: &Contestant,
        arguments: &str,
    ) -> io::Result<Report> {
        let server = self.server(contestant)?;
        let report = self.run_load(&server, arguments)?;
        server.stop()?;
        Ok(report)
    }
}

/// Asks every benchmark once (one round). Removes failed benchmarks and returns their errors.
fn ask_all<C: Named>(
    started: &mut Vec<(&C, Benchmark)>,
    round: u32,
    last: bool,
    collected: &mut Collected,
    read: impl Fn(&C, &str, &mut Recorder<'_>) -> io::Result<()>,
) -> Vec<(&'static str, io::Error)> {
    let mut failed = Vec::new();
    started.retain_mut(|(one, benchmark)| {
        let mut recorder = Recorder {
            round,
            last,
            contestant: one.name(),
            samples: &mut collected.samples,
        };
        let answer = benchmark.ask();
        match answer.and_then(|answer| read(one, &answer, &mut recorder)) {
            Ok(()) => true,
            Err(error) => {
                failed.push((one.name(), error));
                false
            }
        }
    });
    failed
}

/// How often contestants are started side by side, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runs<S> {
    title: &'static str,
    /// Number of runs. Each starts fresh processes: differences between processes of one program
    /// average out, and a slow minute of the machine does not affect a whole task.
    count: u32,
    /// Duration of a run as a function of the task.
    seconds: S,
    /// Number of rounds that a run has at least, even if they exceed its duration.
    min_rounds: u32,
}

fn takes_part(one: &impl Named, round: u32) -> bool {
    round.is_multiple_of(3) || one.in_every_round()
}

/// Pseudo-random numbers, the same in every run (xorshift64). The order of contestants has no short
/// period, so it cannot coincide with one of the machine.
#[derive(Debug)]
struct Random(u64);

impl Default for Random {
    fn default() -> Random {
        Random(0x9E37_79B9_7F4A_7C15)
    }
}

impl Random {
    /// Shuffles; every order is equally likely (Fisher and Yates).
    fn shuffle<T>(&mut self, all: &mut [T]) {
        for place in (1..all.len()).rev() {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            all.swap(place, (self.0 >> 32) as usize % (place + 1));
        }
    }
}

/// Prints a line of progress if stderr is not a terminal, which shows the bar instead.
fn print_line(text: impl FnOnce() -> String) {
    if !io::stderr().is_terminal() {
        eprintln!("{}", text());
    }
}

fn progress(title: &str, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total).with_prefix(title.to_owned());
    let template = "{prefix:>14} [{bar:30}] {pos}/{len} {elapsed} (left: {eta}) {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
