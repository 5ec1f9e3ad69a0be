//! CPU affinity and the limit on descriptors, for servers, load and suite of the benchmarks.
//!
//! Every function is a thin layer over a system call and uses none of the measured runtimes.

#![forbid(unsafe_code)]

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Raises the limit on descriptors to its maximum for this process, and returns it.
///
/// # Errors
///
/// Returns an error if setrlimit(2) fails.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// Returns the cores that this thread is allowed to run on, in ascending order.
///
/// # Errors
///
/// Returns an error if `sched_getaffinity(2)` fails.
pub fn cores() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|&core| set.is_set(core))
        .collect())
}

/// Pins this thread, and the threads and processes that it starts later, to these cores.
///
/// # Errors
///
/// Returns an error if none of the cores exists and is allowed.
pub fn pin_to(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core);
    }
    sched_setaffinity(None, &set)?;
    Ok(())
}

/// Runs `action` with this thread pinned to `cores`, and restores the previous cores.
///
/// # Errors
///
/// Returns an error if the thread cannot be pinned, or that of `action`.
pub fn pinned<T>(cores: &[usize], action: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before = self::cores()?;
    pin_to(cores)?;
    let outcome = action();
    pin_to(&before)?;
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_action_runs_on_its_core_and_restores_the_previous_cores() {
        let before = cores().unwrap();
        let one = [before[0]];
        let inside = pinned(&one, cores).unwrap();
        assert_eq!(inside, one);
        assert_eq!(cores().unwrap(), before);
    }

    #[test]
    fn the_descriptor_limit_is_raised_to_its_maximum() {
        let limit = raise_descriptor_limit().unwrap();
        let now = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert_eq!(now, limit);
    }
}
