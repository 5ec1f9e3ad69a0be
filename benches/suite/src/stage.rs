//! Where the runs take place: in rounds, in turns, each process on its core, with progress shown.
//!
//! ```text
//! in_turns        A B C  B C A  ..             each letter a fresh process, which measures once
//! side_by_side    sitting: start A B C         all stay, and rest unless they are asked
//!                   ask: b a c  c a b  ..      hundreds of rounds of some milliseconds each
//!                   end A B C
//! ```
//!
//! The second is for what is decided by one or two hundredths. A virtual machine is as fast as its
//! neighbours let it be, and that changes by a tenth or a third from one tenth of a second to the next:
//! so those that are compared have to be measured within less, and very often.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::{Duration, Instant};

use bench_load::Report;
use indicatif::{ProgressBar, ProgressStyle};

use crate::contest::{Contestant, FLOOR, Named, TOKIO};
use crate::load::{self, Load};
use crate::machine::Machine;
use crate::parts::Part;
use crate::programs::Programs;
use crate::record::Sample;
use crate::results::Results;
use crate::server::Server;
use crate::stand::Stand;

/// Everything that the runs have in common.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) programs: Programs,
    pub(crate) quick: bool,
    rounds: Option<u32>,
    among: Vec<String>,
    /// The core of the server, and of the micro-benchmarks.
    pub(crate) server_core: usize,
    /// The core of the load, and of a second thread.
    pub(crate) load_core: usize,
    pub(crate) descriptors: u64,
}

/// What a part has gathered so far.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) rounds: u32,
    pub(crate) notes: Vec<String>,
    pub(crate) failures: Vec<String>,
    pub(crate) samples: Vec<Sample>,
}

impl Gathered {
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

/// Where one run writes its numbers.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) round: u32,
    /// Whether it is the last one of these processes, which then tell what they know of all rounds.
    pub(crate) last: bool,
    contestant: &'static str,
    samples: &'a mut Vec<Sample>,
}

impl Run<'_> {
    /// Adds one number.
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

/// As many as anybody may want to see; the rest would only fill the files.
fn six_digits(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

impl Stage {
    /// Prepares everything.
    ///
    /// # Errors
    ///
    /// When there are fewer than two cores.
    pub(crate) fn new(
        programs: Programs,
        quick: bool,
        rounds: Option<u32>,
        among: Vec<String>,
    ) -> io::Result<Stage> {
        let cores = bench_common::cores()?;
        let [server_core, load_core, ..] = cores[..] else {
            let why = "two cores are needed: one for the server, one for the load";
            return Err(io::Error::other(why));
        };
        Ok(Stage {
            programs,
            quick,
            rounds,
            among,
            server_core,
            load_core,
            descriptors: bench_common::raise_descriptor_limit()?,
        })
    }

    /// Measures one part.
    ///
    /// # Errors
    ///
    /// When the system does not let us; what a contestant does wrong becomes part of the results.
    pub(crate) fn measure(&self, part: Part, benches: &Path) -> io::Result<Results> {
        let machine = Machine::look(benches)?;
        let start = Instant::now();
        let mut gathered = Gathered::default();
        part.measure(self, &mut gathered)?;
        Ok(Results {
            part,
            quick: self.quick,
            rounds: gathered.rounds,
            took_seconds: start.elapsed().as_secs(),
            machine,
            notes: gathered.notes,
            failures: gathered.failures,
            samples: gathered.samples,
        })
    }

    /// `quick` in a quick run, else `full`.
    pub(crate) fn either<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    /// How many rounds, unless the user wants another number.
    pub(crate) fn rounds(&self, quick: u32, full: u32) -> u32 {
        self.rounds.unwrap_or(self.either(quick, full))
    }

    /// So many sittings, unless the user wants another number, of so many seconds for each task.
    pub(crate) fn sittings<S>(&self, title: &'static str, count: u32, seconds: S) -> Sittings<S> {
        Sittings {
            title,
            count: self.rounds(1, count),
            seconds,
            least: self.either(2, 3),
        }
    }

    /// Those that the user wants, and those that they are compared with.
    pub(crate) fn selected<C: Named>(&self, all: &[C]) -> Vec<C> {
        let wanted = |name: &str| {
            self.among.is_empty()
                || [FLOOR, TOKIO].contains(&name)
                || self.among.iter().any(|word| name.contains(word.as_str()))
        };
        let selected = all.iter().filter(|one| wanted(one.name()));
        selected.copied().collect()
    }

    /// Has every contestant do every task, `rounds` times (some less often, see
    /// [`Named::in_every_round`]). Those who are compared run right after
    /// each other; who comes first changes from round to round. A failure is written down, and the
    /// others go on.
    pub(crate) fn in_turns<C: Named, T>(
        &self,
        title: &str,
        rounds: u32,
        tasks: &[T],
        contestants: &[C],
        gathered: &mut Gathered,
        mut run: impl FnMut(&T, &C, &mut Run<'_>) -> io::Result<()>,
    ) {
        gathered.rounds = rounds;
        let runs = (0..rounds).flat_map(|round| {
            contestants
                .iter()
                .filter(move |one| takes_part(*one, round))
        });
        let bar = progress(title, (runs.count() * tasks.len()) as u64);
        for round in 0..rounds {
            if !io::stderr().is_terminal() {
                eprintln!("{title}: round {} of {rounds}", round + 1);
            }
            for task in tasks {
                for turn in 0..contestants.len() {
                    let contestant = &contestants[(turn + round as usize) % contestants.len()];
                    if !takes_part(contestant, round) {
                        continue;
                    }
                    let name = contestant.name();
                    bar.set_message(name);
                    let mut one = Run {
                        round,
                        last: true,
                        contestant: name,
                        samples: &mut gathered.samples,
                    };
                    if let Err(error) = run(task, contestant, &mut one) {
                        let failure = format!("{title}, {name}: {error}");
                        bar.suspend(|| eprintln!("{failure}"));
                        gathered.failures.push(failure);
                    }
                    bar.inc(1);
                }
            }
        }
        bar.finish_and_clear();
    }

    /// Has all contestants measure each task side by side: they are started together (`start`), are
    /// asked one after the other, in a new order each round, and what they answer is written down
    /// (`read`), round after round for as long as [`Sittings`] says. Who fails leaves the sitting.
    pub(crate) fn side_by_side<C: Named, T, S: Fn(&T) -> f64>(
        &self,
        sittings: Sittings<S>,
        tasks: &[T],
        contestants: &[C],
        gathered: &mut Gathered,
        start: impl Fn(&T, &C) -> io::Result<Stand>,
        read: impl Fn(&T, &C, &str, &mut Run<'_>) -> io::Result<()>,
    ) {
        let title = sittings.title;
        let bar = progress(title, u64::from(sittings.count) * tasks.len() as u64);
        let mut random = Random::default();
        // Rounds are numbered through, per task.
        let mut rounds = vec![0; tasks.len()];
        for sitting in 0..sittings.count {
            if !io::stderr().is_terminal() {
                eprintln!("{title}: sitting {} of {}", sitting + 1, sittings.count);
            }
            for (task, number) in tasks.iter().zip(&mut rounds) {
                let mut failed = |name: &str, error: io::Error| {
                    let failure = format!("{title}, {name}: {error}");
                    bar.suspend(|| eprintln!("{failure}"));
                    gathered.failures.push(failure);
                };
                let mut stands: Vec<(&C, Stand)> = Vec::new();
                for one in contestants.iter().filter(|one| takes_part(*one, sitting)) {
                    bar.set_message(one.name());
                    match start(task, one) {
                        Ok(stand) => stands.push((one, stand)),
                        Err(error) => failed(one.name(), error),
                    }
                }
                bar.set_message("all");
                let time = Duration::from_secs_f64(self.either(0.3, (sittings.seconds)(task)));
                let begun = Instant::now();
                for round in 1.. {
                    let last = round >= sittings.least && begun.elapsed() >= time;
                    random.shuffle(&mut stands);
                    let mut place = 0;
                    while let Some((one, stand)) = stands.get_mut(place) {
                        let mut run = Run {
                            round: *number,
                            last,
                            contestant: one.name(),
                            samples: &mut gathered.samples,
                        };
                        let answer = stand.ask();
                        match answer.and_then(|answer| read(task, one, &answer, &mut run)) {
                            Ok(()) => place += 1,
                            Err(error) => {
                                failed(one.name(), error);
                                stands.remove(place);
                            }
                        }
                    }
                    *number += 1;
                    if last || stands.is_empty() {
                        break;
                    }
                }
                for (one, stand) in stands {
                    stand
                        .end()
                        .unwrap_or_else(|error| failed(one.name(), error));
                }
                bar.inc(1);
            }
        }
        gathered.rounds = rounds.into_iter().fold(gathered.rounds, u32::max);
        bar.finish_and_clear();
    }

    /// Starts a server on its core.
    pub(crate) fn server(&self, contestant: &Contestant) -> io::Result<Server> {
        Server::start(&self.programs, contestant, &[], &[], &[self.server_core])
    }

    /// Puts one load on a server, from the other core.
    pub(crate) fn load(&self, server: &Server, arguments: &str) -> io::Result<Report> {
        Load::start(&self.programs, server, arguments, &[self.load_core])?.report()
    }

    /// Starts a server on its core, and on the other one a load that waits to be asked.
    pub(crate) fn stand(&self, contestant: &Contestant, arguments: &str) -> io::Result<Stand> {
        let server = self.server(contestant)?;
        let command = load::command(&self.programs, &server, arguments);
        Stand::start(command, &[self.load_core], Some(server))
    }

    /// Starts a server, puts one load on it, ends it.
    pub(crate) fn visit(&self, contestant: &Contestant, arguments: &str) -> io::Result<Report> {
        let server = self.server(contestant)?;
        let report = self.load(&server, arguments)?;
        server.stop()?;
        Ok(report)
    }
}

/// How often contestants are set up side by side, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sittings<S> {
    /// What is being measured.
    title: &'static str,
    /// With fresh processes each time, so that what differs between processes of the same program
    /// evens out, and what a bad minute spoils is not the whole of a task.
    count: u32,
    /// For each task.
    seconds: S,
    /// Rounds, however long they take.
    least: u32,
}

fn takes_part(one: &impl Named, round: u32) -> bool {
    round.is_multiple_of(3) || one.in_every_round()
}

/// The same sequence in every run (xorshift64), but without a period that anything else could have.
#[derive(Debug)]
struct Random(u64);

impl Default for Random {
    fn default() -> Random {
        Random(0x9E37_79B9_7F4A_7C15)
    }
}

impl Random {
    /// Every order is as likely as every other (Fisher and Yates).
    fn shuffle<T>(&mut self, all: &mut [T]) {
        for place in (1..all.len()).rev() {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            all.swap(place, (self.0 >> 32) as usize % (place + 1));
        }
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
