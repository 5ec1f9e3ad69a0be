//! How the simulation ends a run: nothing can go on, something is left, or a thread takes part that is not simulated.

use std::fmt;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use wakeful::dump::Dump;
use wakeful::kernel;

/// Begins the message of the panic with which a run ends that nothing can continue.
pub(crate) const DEADLOCK: &str = "deadlock";

/// Begins the message about a run that goes on and on.
const ENDLESS: &str = "no end";

/// Begins the message about clients that take too long.
pub(crate) const LATE: &str = "the clients have not ended";

/// Begins the message about a test that would test nothing.
pub(crate) const NO_HOST: &str = "the test has made no host";

/// Begins the message about a runtime that is on no host.
pub(crate) const BESIDE: &str = "a runtime waits on the thread of the test";

/// The most tasks that have a line each.
const MAX_TASKS: usize = 12;

/// Begins the message about what a test leaves.
const LEAK: &str = "leak";

/// Part of each message about a thread that takes part.
const NO_PART: &str = "which is no part of the simulation";

/// Returns whether a panic's message is one of this file, which names what ended the run.
pub(crate) fn is_own(text: &str) -> bool {
    let begins = [DEADLOCK, LEAK, ENDLESS, LATE, NO_HOST, BESIDE];
    begins.iter().any(|begin| text.starts_with(begin)) || text.contains(NO_PART)
}

/// Returns the message for a runtime that nothing can wake: the reason, then what its tasks wait for.
pub(crate) fn deadlock(after: Duration, dump: &Dump) -> String {
    let text = format!("{DEADLOCK} after {after:?}: nothing is in flight, and no timer is armed");
    with_lines(text, dump)
}

/// Returns the message for a run that goes on after so many turns.
pub(crate) fn endless(after: Duration, turns: u64) -> String {
    format!(
        "{ENDLESS} after {after:?}: the run goes on after {turns} turns, see `Options::max_turns`"
    )
}

/// As [`endless`], with what the tasks of the only runtime wait for.
pub(crate) fn endless_alone(after: Duration, turns: u64, dump: &Dump) -> String {
    with_lines(endless(after, turns), dump)
}

/// Returns the message for a test that leaves something, with its tasks.
pub(crate) fn leak(after: Duration, left: &dyn fmt::Display, dump: &Dump) -> String {
    let text = format!("{LEAK} after {after:?}: the test has ended, and {left} are left");
    with_lines(text, dump)
}

/// Adds what the root future and the tasks do: a line for each, or for each group of tasks that are alike.
fn with_lines(mut text: String, dump: &Dump) -> String {
    // The first line is the state of the loop.
    let (lines, kinds) = match dump.tasks.len() {
        0..=MAX_TASKS => (format!("{dump:#}"), &["root: ", "task "][..]),
        _ => (dump.to_string(), &[""][..]),
    };
    let is_shown = |line: &&str| kinds.iter().any(|kind| line.starts_with(kind));
    for line in lines.lines().skip(1).filter(is_shown) {
        text.push('\n');
        // The place of `block_on` is in the simulation.
        let root = line.strip_prefix("root: block_on at ");
        match root.and_then(|root| root.split_once(", ")) {
            Some((_, rest)) => text.extend(["root: ", rest]),
            None => text.push_str(line),
        }
    }
    text
}

/// The first message of a thread that is no part of the simulation. When such a message comes follows from no seed,
/// so the run fails, unless other threads are allowed.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    first: OnceLock<Message>,
    /// Whether other threads may take part.
    is_allowed: bool,
}

#[derive(Debug)]
struct Message {
    thread: String,
    /// The id of the task that it concerns.
    task: Option<String>,
}

impl Outside {
    /// Lets other threads take part.
    pub(crate) fn allowed() -> Self {
        Self {
            is_allowed: true,
            ..Self::default()
        }
    }

    /// Notes a message of this thread, unless a kernel is installed on it: then it is part of a simulation.
    pub(crate) fn note(&self, task: Option<&dyn fmt::Display>) {
        if kernel::current().is_some() {
            return;
        }
        self.first.get_or_init(|| Message {
            thread: match thread::current().name() {
                Some(name) => format!("the thread {name:?}"),
                None => "a thread without a name".to_owned(),
            },
            task: task.map(ToString::to_string),
        });
    }

    /// Returns whether another thread took part.
    pub(crate) fn is_noted(&self) -> bool {
        self.first.get().is_some()
    }

    /// Returns the message for a run in which another thread took part, if none may. `dump` has the tasks, unless their
    /// runtime has ended.
    pub(crate) fn text(&self, dump: impl FnOnce() -> Option<Dump>) -> Option<String> {
        if self.is_allowed {
            return None;
        }
        let Message { thread, task } = self.first.get()?;
        let what = match task {
            Some(id) => format!(
                "has woken, aborted or detached {}",
                name(id, dump().as_ref())
            ),
            None => "has spawned a task, or dropped a socket or timer of the runtime".to_owned(),
        };
        Some(format!(
            "{thread}, {NO_PART}, {what}: when it does follows from no seed. Use a task or \
             `spawn_blocking` in its place"
        ))
    }
}

/// Returns a task as `task 1.0 "name" (spawned at file:1:2)`.
fn name(id: &str, dump: Option<&Dump>) -> String {
    // See `Id`.
    if id.starts_with("0.") {
        return "the root future".to_owned();
    }
    let Some(dump) = dump else {
        return format!("task {id}");
    };
    let is_it = |task: &&wakeful::task::TaskInfo| task.id.to_string() == id;
    match dump.tasks.iter().find(is_it) {
        Some(task) => {
            let name = task.name.as_ref().map(|name| format!(" {name:?}"));
            let name = name.unwrap_or_default();
            format!("task {id}{name} (spawned at {})", task.spawned_at)
        }
        None => format!("task {id}, which has ended"),
    }
}
