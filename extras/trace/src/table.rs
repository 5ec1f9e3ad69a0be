//! The state of all tasks at the last event: what `ps` and `top` show.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::model::{Index, Model, Task};
use crate::read::{Polled, Trace};
use crate::text::wait_words;
use crate::words::{clean, counted, duration, grouped, json, short_place};

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is polled.
    Polled,
    /// It waits for its next poll.
    Runnable,
    /// It waits.
    Waits,
}

impl State {
    /// Returns the state as a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Polled => "polled",
            Self::Runnable => "runnable",
            Self::Waits => "waits",
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Row {
    /// The task.
    pub task: Index,
    /// Its number: `5.0`, or `root`.
    pub id: String,
    /// Its name, `""` if it has none.
    pub name: String,
    /// Its spawn location, `""` if it is unknown.
    pub place: String,
    /// What it does.
    pub state: State,
    /// For how long, in nanoseconds.
    pub since: u64,
    /// Whether it may be longer, because it began before the recording.
    pub at_least: bool,
    /// What it waits for, in words.
    pub wait: String,
    /// Number of its polls.
    pub polls: u64,
    /// Sum of the duration of its polls.
    pub busy: u64,
    /// Number of wakes by tasks in the recording.
    pub wakes: u64,
    /// Part of the time that it was polled, in percent, of [`rates`].
    pub busy_percent: f64,
    /// Polls per second, likewise.
    pub polls_rate: f64,
    /// Wakes by tasks per second, likewise.
    pub wakes_rate: f64,
}

impl Row {
    /// Returns for how long the task does what it does, with `>` if it may be longer.
    pub fn since_words(&self) -> String {
        let more = if self.at_least { ">" } else { "" };
        format!("{more}{}", duration(self.since))
    }
}

/// Returns a line for each task that is alive at the last event: the polled one first, then those that are
/// runnable, then the longest wait.
pub fn rows(trace: &Trace, model: &Model) -> Vec<Row> {
    let alive = |task: &Task| task.end.is_none();
    let mut rows: Vec<Row> = (0..model.tasks.len())
        .filter(|task| alive(&model.tasks[*task]))
        .map(|task| row(trace, model, task))
        .collect();
    rows.sort_by_key(|row| (row.state as u8, Reverse(row.since), row.task));
    rows
}

fn row(trace: &Trace, model: &Model, index: Index) -> Row {
    let task = &model.tasks[index];
    let wait = task.waiting.map(|wait| &model.waits[wait]);
    let (state, begin) = match wait {
        _ if is_polled(trace, task) => {
            let last = task.last_poll.map(|poll| model.polls[poll].begin);
            (State::Polled, last.unwrap_or(model.end))
        }
        Some(wait) if !task.woken => (State::Waits, wait.begin),
        _ if task.woken => (State::Runnable, model.end),
        _ => (State::Waits, task.begin),
    };
    let text = |number: u32| clean(trace.text(number));
    Row {
        task: index,
        id: task.id(),
        name: text(task.name),
        place: text(task.place),
        state,
        since: model.end.saturating_sub(begin),
        at_least: state == State::Waits && wait.is_none_or(|wait| !wait.begin_seen),
        wait: match (state, wait) {
            (State::Waits, Some(wait)) => wait_words(trace, model, wait),
            _ => String::new(),
        },
        polls: task.polls,
        busy: task.busy,
        wakes: task.wakes,
        busy_percent: 0.0,
        polls_rate: 0.0,
        wakes_rate: 0.0,
    }
}

/// Returns whether the published words name this task.
fn is_polled(trace: &Trace, task: &Task) -> bool {
    match trace.published.polled {
        Polled::None => false,
        Polled::Root => task.is_root(),
        Polled::Task { row, generation } => {
            task.row == row && task.generation == (generation & 0xff) as u8
        }
    }
}

/// Adds the time since the last event to what each task does: without an event it goes on. No event is written
/// during a poll that never ends, and in a loop that is parked.
pub fn add_age(rows: &mut [Row], age_ns: u64) {
    for row in rows {
        row.since = row.since.saturating_add(age_ns);
    }
}

/// Sets the rates of the lines from the lines of an earlier moment.
pub fn rates(rows: &mut [Row], before: &[Row], elapsed_ns: u64) {
    let known: HashMap<&str, &Row> = before.iter().map(|row| (row.id.as_str(), row)).collect();
    let elapsed = elapsed_ns.max(1) as f64;
    for row in rows {
        let (polls, busy, wakes) = known
            .get(row.id.as_str())
            .filter(|before| before.place == row.place && before.polls <= row.polls)
            .map_or((0, 0, 0), |before| {
                (before.polls, before.busy, before.wakes)
            });
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / elapsed;
        row.busy_percent = (rate(row.busy, busy) * 100.0).min(100.0);
        if row.state == State::Polled {
            // The poll is counted when it has ended.
            let part = row.since.min(elapsed_ns) as f64 / elapsed * 100.0;
            row.busy_percent = row.busy_percent.max(part);
        }
        row.polls_rate = rate(row.polls, polls) * 1e9;
        row.wakes_rate = rate(row.wakes, wakes) * 1e9;
    }
}

/// The length of a run queue up to which it is counted.
const COUNTED: u64 = 256;

/// Returns what the loop does, from the words that it publishes.
pub fn loop_line(trace: &Trace, model: &Model) -> String {
    let published = &trace.published;
    let polled = model
        .tasks
        .iter()
        .position(|task| task.end.is_none() && is_polled(trace, task));
    let name = |task: Index| {
        let kind = if model.tasks[task].is_root() {
            ""
        } else {
            "task "
        };
        format!("{kind}{}", model.task_name(trace, task))
    };
    let place = match published.place {
        0 => String::new(),
        place => format!(" (spawned at {})", short_place(trace.text(place))),
    };
    let state = match (published.polled, polled) {
        _ if trace.ended => "has ended".to_owned(),
        (Polled::None, _) if published.parked => "is parked in epoll_wait".to_owned(),
        (Polled::None, _) => "runs between polls".to_owned(),
        (Polled::Root, _) => format!("polls the root future, poll {}", grouped(published.polls)),
        (_, Some(task)) => format!(
            "polls {}{place}, poll {}",
            name(task),
            grouped(published.polls)
        ),
        (Polled::Task { row, generation }, None) => format!(
            "polls task {row}.{generation}{place}, poll {}",
            grouped(published.polls)
        ),
    };
    let line = format!("runtime {} of process {} {state}", trace.runtime, trace.pid);
    let more = match published.queue {
        // A loop that is parked has none.
        _ if trace.ended || published.parked => return line,
        COUNTED.. => "or more ",
        _ => "",
    };
    let queue = counted(published.queue as usize, "task");
    format!("{line}; {queue} {more}in the run queue after its last turn")
}

/// Returns the table as text, as wide as its contents.
pub fn render(rows: &[Row]) -> String {
    let mut lines = vec![
        [
            "TASK",
            "STATE",
            "FOR",
            "POLLS",
            "BUSY",
            "SPAWNED AT",
            "WAITS IN",
        ]
        .map(str::to_owned),
    ];
    for row in rows {
        let name = match row.name.as_str() {
            "" => row.id.clone(),
            name => format!("{} \"{name}\"", row.id),
        };
        lines.push([
            name,
            row.state.word().to_owned(),
            row.since_words(),
            grouped(row.polls),
            duration(row.busy),
            short_place(&row.place),
            row.wait.clone(),
        ]);
    }
    aligned(&lines, &[2, 3, 4])
}

/// Returns lines of cells with the columns aligned, those in `numbers` to the right.
pub fn aligned<const N: usize>(lines: &[[String; N]], numbers: &[usize]) -> String {
    let widths: Vec<usize> = (0..N)
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut out = String::new();
    for line in lines {
        let mut text = String::new();
        for (column, cell) in line.iter().enumerate() {
            let fill = " ".repeat(widths[column] - cell.chars().count());
            match numbers.contains(&column) {
                true => text.extend([&fill, cell.as_str(), "  "]),
                false => text.extend([cell.as_str(), &fill, "  "]),
            }
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

/// Returns the table as JSON. `elapsed_ns` is the time over which the rates are taken, 0 if there are none.
pub fn to_json(trace: &Trace, rows: &[Row], elapsed_ns: u64) -> String {
    let mut out = format!(
        "{{\"format\":1,\"pid\":{},\"runtime\":{},\"elapsed_ns\":{elapsed_ns},\"parked\":{},\"run_queue\":{},\"tasks\":[",
        trace.pid, trace.runtime, trace.published.parked, trace.published.queue
    );
    for (index, row) in rows.iter().enumerate() {
        out.push_str(if index > 0 { ",\n" } else { "\n" });
        for (name, text) in [
            ("{\"task\":", row.id.as_str()),
            (",\"name\":", &row.name),
            (",\"spawned_at\":", &row.place),
            (",\"state\":", row.state.word()),
            (",\"wait\":", &row.wait),
        ] {
            out.push_str(name);
            json(&mut out, text);
        }
        out.push_str(&format!(
            ",\"since_ns\":{},\"at_least\":{},\"polls\":{},\"busy_ns\":{},\"busy_percent\":{:.3},\"polls_per_second\":{:.3},\"wakes_per_second\":{:.3}}}",
            row.since, row.at_least, row.polls, row.busy, row.busy_percent, row.polls_rate, row.wakes_rate
        ));
    }
    out.push_str("\n]}\n");
    out
}
