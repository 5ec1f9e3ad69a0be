//! Runs jobs: each without spinners, and beside one spinner per core. Measures what a check costs.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::Problem;
use crate::job::Job;
use crate::tally::{Tally, print_line};

/// CPU time of a stage's check, with its compilation, at most. Elapsed time has no limit, because it depends
/// on what else the machine does.
const CHECK_SECONDS: f64 = 3.0;

/// Ticks of `/proc/self/stat` in a second: the kernel shows 100 to all programs.
const TICKS: f64 = 100.0;

/// Threads per core for jobs that mostly wait, as checks do: for a peer, or for a thread that falls asleep.
const WAITING: usize = 4;

/// Runs jobs on `per_core` threads for each core. Returns the problems, with the index of the job, in the order
/// of the jobs.
fn spread<J: Sync>(
    jobs: &[J],
    per_core: usize,
    run: impl Fn(&J) -> Result<(), Problem> + Sync,
) -> Vec<(usize, Problem)> {
    let (next, problems) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(at) else { return };
            if let (Err(problem), Ok(mut problems)) = (run(job), problems.lock()) {
                problems.push((at, problem));
            }
        }
    };
    let threads = (per_core * thread::available_parallelism().map_or(1, usize::from)).min(8);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let mut problems = problems.into_inner().unwrap_or_default();
    problems.sort();
    problems
}

/// Runs jobs that compute, on one thread per core; returns the problems.
pub(crate) fn parallel<J: Sync>(
    jobs: &[J],
    run: impl Fn(&J) -> Result<(), Problem> + Sync,
) -> Vec<Problem> {
    spread(jobs, 1, run).into_iter().map(|(_, problem)| problem).collect()
}

/// Compiles and runs each reference once, one after the other, and prints what that costs.
pub(crate) fn costs(references: &[Job], tally: &mut Tally) {
    println!("the check of a reference, compiled and run once:");
    let (mut problems, mut longest) = (Vec::new(), (0.0, 0));
    for job in references {
        let (begin, cpu) = (Instant::now(), cpu_of_children());
        let result = job.compile().and_then(|()| job.run());
        let (elapsed, cpu) = (begin.elapsed().as_secs_f64(), cpu_of_children() - cpu);
        let number = job.stage.number;
        print_line(&format!("  stage {number}"), &format!("{cpu:.2} s of CPU, {elapsed:.2} s"));
        if cpu > longest.0 {
            longest = (cpu, number);
        }
        if cpu > CHECK_SECONDS {
            problems.push(format!("stage {number}: {cpu:.2} s of CPU, at most {CHECK_SECONDS}"));
        }
        problems.extend(result.err());
    }
    let (cpu, number) = longest;
    print_line("the longest check", &format!("{cpu:.2} s of CPU, stage {number}"));
    tally.line(&format!("checks of at most {CHECK_SECONDS} s of CPU"), references.len(), problems);
}

/// Returns the CPU time of all processes that this one has started and that have ended, in seconds.
fn cpu_of_children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: u32 = fields.split(' ').skip(13).take(2).filter_map(|n| n.parse::<u32>().ok()).sum();
    f64::from(ticks) / TICKS
}

/// The runs of references, over several rounds.
pub(crate) struct Runs<'j> {
    references: Vec<&'j Job>,
    /// Runs of each until now.
    done: usize,
    /// Problems of each.
    problems: Vec<Vec<Problem>>,
}

impl<'j> Runs<'j> {
    pub(crate) fn new(jobs: &'j [Job]) -> Runs<'j> {
        let references: Vec<&Job> = jobs.iter().filter(|job| job.is_reference()).collect();
        let problems = references.iter().map(|_| Vec::new()).collect();
        Runs { references, done: 0, problems }
    }

    /// Runs each reference `runs` times.
    pub(crate) fn add(&mut self, runs: usize) {
        let count = self.references.len();
        let all: Vec<&Job> = (0..runs * count).map(|n| self.references[n % count]).collect();
        for (at, problem) in spread(&all, WAITING, |job| job.run()) {
            self.problems[at % count].push(problem);
        }
        self.done += runs;
    }

    /// Prints how many runs were green, for each stage.
    pub(crate) fn print(self, tally: &mut Tally) {
        println!("runs of each reference, half of them beside a spinner per core:");
        for (job, problems) in self.references.iter().zip(self.problems) {
            match job.skipped() {
                Some(_) => print_line(&format!("  stage {}", job.stage.number), "skipped"),
                None => tally.line(&format!("  stage {}", job.stage.number), self.done, problems),
            }
        }
    }
}

/// Runs all jobs but the references once.
pub(crate) fn round(name: &str, jobs: &[Job], tally: &mut Tally) {
    println!("{name}:");
    let mut run = |what: &str, wanted: fn(&Job) -> bool| {
        let jobs: Vec<&Job> = jobs.iter().filter(|job| wanted(job)).collect();
        let problems = spread(&jobs, WAITING, |job| job.run());
        let problems = problems.into_iter().map(|(_, problem)| problem).collect();
        let ran = jobs.iter().filter(|job| job.skipped().is_none()).count();
        tally.line(what, ran, problems);
    };
    run("  other right solutions green", Job::is_other_right);
    run("  starts red, with the place", Job::is_start);
    run("  wrong solutions with their id", Job::is_wrong);
}

/// Prints the jobs that this machine could not run.
pub(crate) fn skipped(jobs: &[Job]) {
    let skipped: Vec<String> = jobs.iter().filter_map(Job::skipped).collect();
    print_line("jobs that this machine skipped", &skipped.len().to_string());
    skipped.iter().for_each(|line| println!("  {line}"));
}

/// Runs `f` while one thread per core computes.
pub(crate) fn beside_spinners(f: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        f();
        stop.store(true, Ordering::Relaxed);
    });
}

#[cfg(test)]
mod tests {
    use super::parallel;

    #[test]
    fn problems_are_in_the_order_of_the_jobs() {
        let jobs: Vec<u32> = (0..100).collect();
        let odd = |job: &u32| match job % 2 {
            0 => Ok(()),
            _ => Err(format!("{job}")),
        };
        let expected: Vec<String> = (0..50).map(|n| format!("{}", 2 * n + 1)).collect();
        assert_eq!(parallel(&jobs, odd), expected);
    }
}
