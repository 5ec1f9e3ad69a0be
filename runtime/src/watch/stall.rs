//! What the watch thread reports about a loop that does not go on.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::id::Id;
use crate::task_info::Short;

/// What the loop of a runtime does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoopState {
    /// Nothing, because no `block_on` runs.
    Stopped,
    /// A poll of this task.
    Polling(Id),
    /// A poll of the root future.
    PollingRoot,
    /// The handling of events, timers and messages. A dump that user code makes then, in a waker, a destructor, a
    /// hook or a closure of another thread, has no verdicts, because what follows is not in it.
    BetweenPolls,
}

/// A loop that has not gone on for longer than the limit of
/// [`Builder::watch`](crate::runtime::Builder::watch).
///
/// Displayed as one line: `runtime 1 has been polling task 5.0 "import" (spawned at import.rs:14:9) for at least 12.3 s;
/// its thread sleeps in futex; at least 31 tasks wait behind it`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stall {
    /// The number of the runtime: 1 for the first one of the process.
    pub runtime: u64,
    /// What the loop does: a poll, or user code between two polls.
    pub loop_state: LoopState,
    /// Name of the task that is polled, if it has one.
    pub name: Option<String>,
    /// Source location of the spawn of the task, or of the call of `block_on`; `None` between polls.
    pub spawned_at: Option<&'static Location<'static>>,
    /// The time for which the loop was seen in this state. The state itself can be older by half of the limit.
    pub lasted: Duration,
    /// What the loop's thread does: `is running`, `sleeps in futex` with the name of a system call, or
    /// `waits for a device in read`. `None` if /proc cannot be read: it is not mounted, or no descriptor is free.
    pub thread: Option<String>,
    /// The number of tasks that were in the run queue behind this one, at least. Tasks that became ready since the
    /// last turn are not counted, and at most 64 are.
    pub waiting: usize,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "runtime {} has been ", self.runtime)?;
        self.step(f)?;
        write!(f, " for at least {}", Short(self.lasted))?;
        if let Some(thread) = &self.thread {
            write!(f, "; its thread {thread}")?;
        }
        match self.waiting {
            0 => Ok(()),
            1 => write!(f, "; at least 1 task waits behind it"),
            waiting => write!(f, "; at least {waiting} tasks wait behind it"),
        }
    }
}

impl Stall {
    /// Writes what the loop does.
    fn step(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut place = "spawned";
        match self.loop_state {
            LoopState::Polling(id) => write!(f, "polling task {id}")?,
            LoopState::PollingRoot => {
                place = "block_on";
                write!(f, "polling the root future")?;
            }
            LoopState::BetweenPolls => write!(f, "between two polls")?,
            LoopState::Stopped => write!(f, "outside of `block_on`")?,
        }
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        if let Some(spawned_at) = self.spawned_at {
            write!(f, " ({place} at {spawned_at})")?;
        }
        Ok(())
    }
}

/// What a loop does at one moment, without the time for which it has done so.
pub(crate) struct Now(pub(crate) Stall);

impl fmt::Display for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is ")?;
        self.0.step(f)?;
        match &self.0.thread {
            Some(thread) => write!(f, ", and its thread {thread}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RuntimeId;
    use crate::table::Key;

    #[test]
    fn a_stall_is_one_line_without_what_is_not_known() {
        let id = Id {
            runtime: RuntimeId::new(1, 0),
            key: Key::new(5, 0),
        };
        let here = Location::caller();
        let mut stall = Stall {
            runtime: 1,
            loop_state: LoopState::Polling(id),
            name: Some("import\n".to_owned()),
            spawned_at: Some(here),
            lasted: Duration::from_millis(12_345),
            thread: Some("sleeps in futex".to_owned()),
            waiting: 31,
        };
        assert_eq!(
            stall.to_string(),
            format!(
                "runtime 1 has been polling task 5.0 \"import\\n\" (spawned at {here}) for at least 12.3 s; its \
                 thread sleeps in futex; at least 31 tasks wait behind it"
            )
        );
        stall.loop_state = LoopState::PollingRoot;
        (stall.name, stall.waiting) = (None, 1);
        assert_eq!(
            stall.to_string(),
            format!(
                "runtime 1 has been polling the root future (block_on at {here}) for at least 12.3 s; its thread \
                 sleeps in futex; at least 1 task waits behind it"
            )
        );
        stall.loop_state = LoopState::BetweenPolls;
        (stall.spawned_at, stall.thread, stall.waiting) = (None, None, 0);
        assert_eq!(
            stall.to_string(),
            "runtime 1 has been between two polls for at least 12.3 s"
        );
        assert_eq!(Now(stall.clone()).to_string(), "is between two polls");
        stall.thread = Some("is running".to_owned());
        stall.loop_state = LoopState::Stopped;
        assert_eq!(
            Now(stall).to_string(),
            "is outside of `block_on`, and its thread is running"
        );
    }
}
