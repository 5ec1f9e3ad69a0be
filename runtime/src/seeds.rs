//! Running a test with many seeds, and one of them again.
//!
//! `#[wakeful::test(seeds = 500)]` calls [`run`]. Tests that build their runtimes themselves call it
//! directly:
//!
//! ```
//! use wakeful::runtime::Builder;
//! use wakeful::seeds;
//!
//! seeds::run("order", 100, |seed| {
//!     let runtime = Builder::new().rng_seed(seed).build().unwrap();
//!     let task = runtime.spawn(async { 42 });
//!     assert_eq!(runtime.block_on(task).unwrap(), 42);
//! });
//! ```
//!
//! The seeds follow from the name of the test, so each run and each machine has the same ones. A seed
//! that fails is printed, with the command that repeats it. Environment variables choose others:
//!
//! | variable | effect |
//! |---|---|
//! | `WAKEFUL_SEED=0x1f3a` | runs that seed only |
//! | `WAKEFUL_SEED=random` | runs other seeds in each run, instead of those of the name |
//! | `WAKEFUL_SEEDS=20000` | runs so many seeds |

use std::collections::hash_map::RandomState;
use std::env;
use std::fmt;
use std::hash::BuildHasher;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{ExitCode, Termination};

use crate::random::SplitMix64;

/// Calls `test` with one seed after another, `count` times, until one fails.
///
/// `name` is the name of the test: `module::test`.
///
/// # Panics
///
/// When `test` panics or returns an error, after a line on stderr that names the seed. When `count` is 0, or
/// an environment variable has a value that it cannot have.
pub fn run<T: Termination>(name: &str, count: u32, mut test: impl FnMut(u64) -> T) {
    let seeds = of(name, count);
    let count = seeds.len();
    for (number, seed) in (1..).zip(seeds) {
        let outcome = catch_unwind(AssertUnwindSafe(|| test(seed).report()));
        match outcome {
            Ok(code) if code == ExitCode::SUCCESS => continue,
            _ => {}
        }
        // The name of the test is its last part, so that the command works in any shell.
        let short = name.rsplit("::").next().unwrap_or(name);
        // A failure to write is ignored, because there is no other place for the report.
        writeln!(
            std::io::stderr(),
            "wakeful: {name} failed with seed {seed:#x} ({number} of {count}). Again: \
             WAKEFUL_SEED={seed:#x} cargo test {short}"
        )
        .ok();
        match outcome {
            Ok(_) => panic!("{name} returned an error with seed {seed:#x}"),
            Err(payload) => resume_unwind(payload),
        }
    }
}

/// Returns the seeds with which [`run`] calls a test, for code that reports failures in its own way.
///
/// # Panics
///
/// When `count` is 0, or an environment variable has a value that it cannot have.
///
/// # Examples
///
/// ```
/// use wakeful::seeds;
///
/// let seeds = seeds::of("order", 3);
/// // `WAKEFUL_SEEDS` can ask for another number.
/// let count = seeds.len();
/// assert_eq!(seeds.count(), count);
/// ```
pub fn of(name: &str, count: u32) -> Seeds {
    let variable = |name: &str| env::var_os(name).map(|text| text.to_string_lossy().into_owned());
    match Plan::new(name, count, variable) {
        Ok(plan) => Seeds {
            random: SplitMix64(plan.start),
            left: plan.count,
            only: plan.only,
        },
        Err(message) => panic!("{message}"),
    }
}

/// The seeds of a test; made by [`of`].
#[derive(Clone)]
#[must_use = "iterators do nothing unless they are used"]
pub struct Seeds {
    random: SplitMix64,
    left: u32,
    only: Option<u64>,
}

impl Iterator for Seeds {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        Some(self.only.unwrap_or_else(|| self.random.next()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Seeds {}

impl fmt::Debug for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seeds")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

/// The seeds of a run.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// State of the generator of seeds.
    start: u64,
    count: u32,
    /// The only seed.
    only: Option<u64>,
}

impl Plan {
    fn new(
        name: &str,
        count: u32,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let mut plan = Plan {
            start: hash(name),
            count,
            only: None,
        };
        if count == 0 {
            return Err(format!(
                "{name}: 0 seeds run nothing, expected a number from 1"
            ));
        }
        if let Some(text) = variable("WAKEFUL_SEEDS") {
            plan.count = match text.parse() {
                Ok(count) if count > 0 => count,
                _ => {
                    let most = u32::MAX;
                    return Err(format!(
                        "WAKEFUL_SEEDS={text}: expected a number from 1 to {most}"
                    ));
                }
            };
        }
        match variable("WAKEFUL_SEED").as_deref() {
            None => {}
            Some("random") => plan.start = RandomState::new().hash_one(name),
            Some(text) => {
                let Some(seed) = parse_seed(text) else {
                    return Err(format!(
                        "WAKEFUL_SEED={text}: expected a seed, such as 7 or 0x1f3a, or `random`"
                    ));
                };
                plan.only = Some(seed);
                plan.count = 1;
            }
        }
        Ok(plan)
    }
}

fn parse_seed(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Returns a hash of a name that is the same in each process and version: FNV-1a.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(count: u32, variables: &[(&str, &str)]) -> Result<Plan, String> {
        Plan::new("a::test", count, |name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_seeds_follow_from_the_name() {
        // A published value of FNV-1a.
        assert_eq!(hash("foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(plan(7, &[]), plan(7, &[]));
        let other = Plan::new("b::test", 7, |_| None).unwrap();
        assert_ne!(plan(7, &[]).unwrap(), other);
        let mut seeds = Vec::new();
        run("a::test", 3, |seed| seeds.push(seed));
        let mut again = Vec::new();
        run("a::test", 3, |seed| again.push(seed));
        assert_eq!(seeds, again);
        assert_eq!(seeds.len(), 3);
        assert_ne!(seeds[0], seeds[1]);
    }

    #[test]
    fn environment_variables_choose_the_seeds() {
        assert_eq!(plan(7, &[("WAKEFUL_SEEDS", "900")]).unwrap().count, 900);
        for text in ["0x1f", "31"] {
            let plan = plan(7, &[("WAKEFUL_SEED", text)]).unwrap();
            assert_eq!((plan.only, plan.count), (Some(31), 1));
        }
        let random = || plan(7, &[("WAKEFUL_SEED", "random")]).unwrap().start;
        assert_ne!(random(), random());
        for (variable, text) in [
            ("WAKEFUL_SEEDS", "0"),
            ("WAKEFUL_SEEDS", "many"),
            ("WAKEFUL_SEED", "0x"),
            ("WAKEFUL_SEED", "-1"),
        ] {
            let message = plan(7, &[(variable, text)]).unwrap_err();
            let begin = format!("{variable}={text}: expected ");
            assert!(message.starts_with(&begin), "{message}");
        }
        assert!(plan(0, &[]).unwrap_err().starts_with("a::test: 0 seeds"));
    }

    #[test]
    fn a_run_ends_with_the_first_seed_that_fails() {
        let mut calls = 0;
        let failed = catch_unwind(AssertUnwindSafe(|| {
            run("a::test", 9, |_| {
                calls += 1;
                assert!(calls < 4);
            });
        }));
        assert!(failed.is_err());
        assert_eq!(calls, 4);
        let failed = catch_unwind(|| run("a::test", 9, |_| Err::<(), _>("an error")));
        let payload = failed.unwrap_err();
        let text = payload.downcast_ref::<String>().unwrap();
        assert!(text.starts_with("a::test returned an error with seed 0x"));
    }
}
