//! What the events mean: tasks with their lives, polls, waits and wakes, and the turns of the loop.
//!
//! A recording can begin in the middle of everything, because the ring overwrites old events. A task that
//! is met without its spawn begins with the recording; an end without a beginning is left out.
//!
//! Two polls of one row never overlap, nor do two turns: what ends late is cut where the next one begins.

use std::collections::HashMap;

use crate::build::Builder;
use crate::format::ROOT_ROW;
use crate::lanes::{self, Group};
use crate::read::Trace;

/// Number of an entry in a list of the [`Model`].
pub type Index = usize;

/// A trace as lists. Times are nanoseconds since the start. The lists of several runtimes are one after another.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Model {
    /// Time at which it begins, mostly that of the first event.
    pub begin: u64,
    /// Time at which it ends, mostly that of the last event.
    pub end: u64,
    /// The runtimes that share lanes.
    pub groups: Vec<Group>,
    /// The group of each runtime.
    pub group_of: Vec<Index>,
    /// Time at which each runtime ends.
    pub ends: Vec<u64>,
    /// The tasks, in the order in which they were met. A reused row has one entry per task.
    pub tasks: Vec<Task>,
    /// The polls, by begin.
    pub polls: Vec<Poll>,
    /// The waits, by begin.
    pub waits: Vec<Wait>,
    /// The wakes by tasks, by time.
    pub wakes: Vec<Wake>,
    /// The calls of `epoll_wait`, by begin.
    pub turns: Vec<Turn>,
    /// The closures of `spawn_blocking`, by begin.
    pub closures: Vec<Closure>,
    /// The spans of user code, by begin.
    pub spans: Vec<Span>,
    /// Operations, timers, messages, marks, by time.
    pub instants: Vec<Instant>,
    /// Length of the run queue: runtime, time and length.
    pub queue: Vec<(Index, u64, u32)>,
    /// Runtimes and descriptors with the last known text about the peer.
    pub peers: HashMap<(Index, u32), u32>,
}

/// A task, or the root future.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Task {
    /// Its runtime.
    pub runtime: Index,
    /// Row, or [`ROOT_ROW`].
    pub row: u32,
    /// Low eight bits of the generation.
    pub generation: u8,
    /// Number of the text with its name; 0 if it has none.
    pub name: u32,
    /// Number of the text with its spawn location; 0 if unknown.
    pub place: u32,
    /// Time of its spawn, or of the first event if it is older than the recording.
    pub begin: u64,
    /// Whether the recording contains its spawn.
    pub spawn_seen: bool,
    /// Time and kind of its end; `None` if it is alive at the end of the recording.
    pub end: Option<(u64, Outcome)>,
    /// Number of its polls: those in the recording, or the total if a keyframe states it.
    pub polls: u64,
    /// Sum of the duration of its polls, likewise.
    pub busy: u64,
    /// Number of wakes by tasks in the recording.
    pub wakes: u64,
    /// Its longest poll.
    pub longest: Option<Index>,
    /// Its last poll.
    pub last_poll: Option<Index>,
    /// The wait that has not ended.
    pub waiting: Option<Index>,
    /// Whether it was woken after its last poll began.
    pub woken: bool,
}

/// One call of a task's `poll`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Poll {
    /// Task that was polled.
    pub task: Index,
    /// Time of its begin.
    pub begin: u64,
    /// Time of its end, or of the last event if it has not ended.
    pub end: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// What had scheduled the task.
    pub cause: Cause,
    /// The wait after it.
    pub wait: Option<Index>,
    /// The wake by a task that led to it.
    pub wake: Option<Index>,
}

impl Poll {
    /// Returns the duration in nanoseconds.
    pub fn duration(&self) -> u64 {
        self.end - self.begin
    }
}

/// How a poll, or a task, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The task waits.
    Pending,
    /// The future returned its output.
    Ready,
    /// The future panicked.
    Panicked,
    /// The future was dropped.
    Aborted,
    /// The recording ends before the poll does.
    Unfinished,
}

impl Outcome {
    /// Returns the outcome as a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Panicked => "panicked",
            Self::Aborted => "aborted",
            Self::Unfinished => "unfinished",
        }
    }
}

/// What scheduled a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Kind of the cause: an index into [`CAUSES`].
    pub kind: u8,
    /// Descriptor of an event, or row of a task.
    pub value: u32,
}

/// Names of the causes, by kind.
pub const CAUSES: [&str; 8] = [
    "spawn", "io", "timer", "task", "root", "thread", "yield", "abort",
];

impl Cause {
    /// Returns the cause of a poll from the second number of its event.
    pub fn of(y: u32) -> Self {
        Self {
            kind: (y >> 24) as u8,
            value: y & 0xff_ffff,
        }
    }

    /// Returns the name of its kind.
    pub fn word(self) -> &'static str {
        CAUSES.get(self.kind as usize).copied().unwrap_or("unknown")
    }

    /// Returns the cause in words.
    pub fn sentence(self) -> String {
        let value = self.value;
        match self.kind {
            0 => "first poll after its spawn".to_owned(),
            1 if value == 0xff_ffff => "woken by an event".to_owned(),
            1 => format!("woken by fd {value}"),
            2 => "woken by a timer".to_owned(),
            3 => format!("woken by task in row {value}"),
            4 => "woken by the root future".to_owned(),
            5 => "woken by another thread".to_owned(),
            6 => "yielded".to_owned(),
            7 => "aborted".to_owned(),
            _ => "woken".to_owned(),
        }
    }
}

/// The time between two polls of a task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Wait {
    /// Task that waits.
    pub task: Index,
    /// Time at which the poll before it ended.
    pub begin: u64,
    /// Whether the recording contains that poll. Otherwise the wait has lasted longer.
    pub begin_seen: bool,
    /// Time at which the next poll began, or at which the task ended.
    pub end: Option<u64>,
    /// Number of the text with the operation; 0 if unknown.
    pub operation: u32,
    /// Number of the text with the location; 0 if unknown.
    pub place: u32,
    /// What it waits for.
    pub on: On,
    /// Number of waits noted in the poll: above 1 for a `select`.
    pub noted: u32,
}

/// What a wait is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct On {
    /// Kind: 1 descriptor, 2 timer, 3 task, 4 list, 5 closure, 6 signal; 0 unknown.
    pub what: u8,
    /// Descriptor, row, or number of a signal.
    pub value: u32,
}

impl On {
    /// Returns the target in words, `""` if it is unknown.
    pub fn sentence(self) -> String {
        let value = self.value;
        match self.what {
            1 => format!("fd {value}"),
            2 => format!("timer {value}"),
            3 => format!("task in row {value}"),
            4 => "a list of waiters".to_owned(),
            5 => "a closure".to_owned(),
            6 => format!("signal {value}"),
            _ => String::new(),
        }
    }
}

/// A wake of a task by another one, or by something that wrote an event of its own.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Wake {
    /// Time of the wake.
    pub time: u64,
    /// Task that was woken.
    pub woken: Index,
    /// Task that woke it; `None` if the wake came from outside of a poll.
    pub by: Option<Index>,
    /// Poll in which the wake happened.
    pub from_poll: Option<Index>,
    /// Poll that followed.
    pub to_poll: Option<Index>,
}

/// A call of `epoll_wait`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Turn {
    /// The runtime that waits.
    pub runtime: Index,
    /// Time of its begin.
    pub begin: u64,
    /// Time of its end, or of the last event.
    pub end: u64,
    /// Number of events it returned; `None` if it has not returned.
    pub events: Option<u32>,
    /// Limit in milliseconds, `u32::MAX` without limit.
    pub limit: u32,
}

/// A closure of `spawn_blocking`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Closure {
    /// The runtime to which its result goes.
    pub runtime: Index,
    /// Number of the closure.
    pub number: u32,
    /// Time of its begin.
    pub begin: u64,
    /// Time of its end; `None` if it has not ended.
    pub end: Option<u64>,
    /// Task that waits for it.
    pub task: Option<Index>,
}

/// A span of user code.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Span {
    /// Task in which it began.
    pub task: Index,
    /// Number of the text with its name.
    pub name: u32,
    /// Time of its begin.
    pub begin: u64,
    /// Time of its end; `None` if it has not ended.
    pub end: Option<u64>,
}

/// Something that happened at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Instant {
    /// The runtime in which it happened.
    pub runtime: Index,
    /// Time.
    pub time: u64,
    /// Task that was polled then.
    pub task: Option<Index>,
    /// Kind of the event.
    pub kind: u8,
    /// The small number of the event.
    pub a: u8,
    /// The first number of the event.
    pub x: u32,
    /// The second number of the event.
    pub y: u32,
}

impl Model {
    /// Builds the lists from the events.
    pub fn new(trace: &Trace) -> Self {
        let mut builders: Vec<_> = trace.runtimes.iter().map(Builder::new).collect();
        for event in &trace.events {
            if let Some(builder) = builders.get_mut(event.runtime as usize) {
                builder.event(event);
            }
        }
        let mut model = Self {
            begin: trace.begin(),
            end: trace.end(),
            groups: lanes::groups(trace),
            group_of: vec![0; builders.len()],
            ..Self::default()
        };
        for (number, group) in model.groups.iter().enumerate() {
            for runtime in &group.runtimes {
                model.group_of[*runtime] = number;
            }
        }
        for (runtime, builder) in builders.into_iter().enumerate() {
            model.append(builder.finish(), runtime);
        }
        model.instants.sort_by_key(|instant| instant.time);
        model
    }

    /// Returns the time at which a wait ends, or at which its runtime does.
    pub fn wait_end(&self, wait: &Wait) -> u64 {
        wait.end
            .unwrap_or_else(|| self.ends[self.tasks[wait.task].runtime])
    }

    /// Returns the time at which a task ends, or at which its runtime does.
    pub fn task_end(&self, task: &Task) -> u64 {
        task.end.map_or(self.ends[task.runtime], |end| end.0)
    }

    /// Returns a task's number as it is displayed, `root` for the root future. With a name in quotes.
    pub fn task_name(&self, trace: &Trace, task: Index) -> String {
        let task = &self.tasks[task];
        let id = task.id();
        match task.name {
            0 => id,
            name => format!("{id} \"{}\"", crate::words::clean(trace.text(name))),
        }
    }

    /// Returns the polls from the longest one on, at most `limit`.
    pub fn longest_polls(&self, limit: usize) -> Vec<Index> {
        top(self.polls.len(), limit, |poll| self.polls[poll].duration())
    }

    /// Returns the waits from the longest one on, at most `limit`. A wait of the root future is left out,
    /// because it mostly waits for everything.
    pub fn longest_waits(&self, limit: usize) -> Vec<Index> {
        let mut found = top(self.waits.len(), limit.saturating_add(8), |wait| {
            let wait = &self.waits[wait];
            self.wait_end(wait).saturating_sub(wait.begin)
        });
        found.retain(|wait| !self.tasks[self.waits[*wait].task].is_root());
        found.truncate(limit);
        found
    }

    /// Returns the tasks from the busiest one on, at most `limit`.
    pub fn busiest_tasks(&self, limit: usize) -> Vec<Index> {
        top(self.tasks.len(), limit, |task| self.tasks[task].busy)
    }
}

/// Returns the numbers below `count` with the highest figures, the highest first.
fn top(count: usize, limit: usize, figure: impl Fn(usize) -> u64) -> Vec<usize> {
    let mut all: Vec<usize> = (0..count).collect();
    if limit < count {
        all.select_nth_unstable_by_key(limit, |entry| (std::cmp::Reverse(figure(*entry)), *entry));
        all.truncate(limit);
    }
    all.sort_unstable_by_key(|entry| (std::cmp::Reverse(figure(*entry)), *entry));
    all
}

impl Task {
    /// Returns whether this is the root future.
    pub fn is_root(&self) -> bool {
        self.row == ROOT_ROW
    }

    /// Returns the number of the task, `root` for the root future.
    pub fn id(&self) -> String {
        match self.row {
            ROOT_ROW => "root".to_owned(),
            row => format!("{row}.{}", self.generation),
        }
    }
}
