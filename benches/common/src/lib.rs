//! What servers, load and suite of the benchmarks share: which core they run on, and how many
//! descriptors they may have.
//!
//! Everything here is a thin layer over a system call, so that no benchmark depends on how any of
//! the measured runtimes sees the system.

#![forbid(unsafe_code)]

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Raises the limit on descriptors to what the system allows this process, and says what it is.
///
/// # Errors
///
/// When the system refuses.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// The cores that this thread may run on, in ascending order.
///
/// # Errors
///
/// When the system does not tell.
pub fn cores() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|&core| set.is_set(core))
        .collect())
}

/// Keeps this thread, and the threads and processes that it starts from now on, on these cores.
///
/// # Errors
///
/// When none of the cores exists or may be used.
pub fn pin_to(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core);
    }
    sched_setaffinity(None, &set)?;
    Ok(())
}

/// Runs `action` with this thread kept on `cores`, and lets it go back to where it was.
///
/// # Errors
///
/// When the thread cannot be kept there, or the action fails.
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
    fn a_pinned_action_runs_on_its_core_only_and_ends_where_it_began() {
        let before = cores().unwrap();
        let one = [before[0]];
        let inside = pinned(&one, cores).unwrap();
        assert_eq!(inside, one);
        assert_eq!(cores().unwrap(), before);
    }

    #[test]
    fn the_descriptor_limit_ends_at_its_maximum() {
        let limit = raise_descriptor_limit().unwrap();
        let now = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert_eq!(now, limit);
    }
}
