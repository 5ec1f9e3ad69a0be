//! A recording as text: a summary, and one line per event.

use std::fmt::Write;

use crate::format::{OUTSIDE_ROW, ROOT_ROW, kind};
use crate::model::{Cause, Index, Model, On, Outcome, Poll, Wait};
use crate::read::{Event, Trace, names_a_task};
use crate::words::{clean, counted, duration, grouped, moment, short_place};

/// Lines in each list of the summary.
const LINES: usize = 10;

/// Returns the summary: what the recording contains, the longest polls, the busiest tasks, the longest
/// waits.
pub fn summary(trace: &Trace, model: &Model) -> String {
    let mut out = String::new();
    head(&mut out, trace, model).ok();
    lists(&mut out, trace, model).ok();
    out
}

/// Returns the summary and all events, one per line.
pub fn render(trace: &Trace, model: &Model) -> String {
    let mut out = summary(trace, model);
    out.push_str("\nevents\n");
    let names = trace.runtimes.iter().map(|runtime| clean(&runtime.name));
    let names: Vec<String> = names.collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width
        .filter(|width| *width > 0)
        .map_or(0, |width| width + 2);
    let mut tasks = Names::default();
    for event in &trace.events {
        let name = names.get(event.runtime as usize);
        let name = name.map_or("", String::as_str);
        writeln!(
            out,
            "{}  {name:width$}{}",
            moment(event.time),
            tasks.line(trace, event).trim_end()
        )
        .ok();
    }
    out
}

fn head(out: &mut String, trace: &Trace, model: &Model) -> std::fmt::Result {
    let tasks = model.tasks.iter().filter(|task| !task.is_root());
    writeln!(
        out,
        "{}: {} in {}; {} of {}, {}{}",
        clean(&trace.title()),
        counted(trace.events.len(), "event"),
        duration(model.end - model.begin),
        counted(model.polls.len(), "poll"),
        counted(tasks.count(), "task"),
        counted(model.turns.len(), "turn"),
        match trace.ended {
            true => "; ended in order",
            false => "",
        }
    )?;
    if trace.overwritten() > 0 {
        writeln!(
            out,
            "{} overwritten (the ring holds {})",
            counted(trace.overwritten() as usize, "older event"),
            grouped(trace.capacity)
        )?;
    }
    for warning in &trace.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    if !trace.notes.is_empty() {
        writeln!(out, "\nnotes")?;
    }
    for note in &trace.notes {
        let (name, text) = (clean(&note.name), clean(&note.text));
        let lasts = match note.end - note.begin {
            0 => String::new(),
            ns => format!(" for {}", duration(ns)),
        };
        writeln!(out, "{}  {name}: {text}{lasts}", moment(note.begin))?;
    }
    Ok(())
}

fn lists(out: &mut String, trace: &Trace, model: &Model) -> std::fmt::Result {
    writeln!(out, "\nlongest polls")?;
    for poll in model.longest_polls(LINES) {
        let poll = &model.polls[poll];
        let unfinished = match poll.outcome {
            Outcome::Unfinished => ", not ended",
            _ => "",
        };
        writeln!(
            out,
            "{:>10}  at {}  {}; {}{unfinished}",
            duration(poll.duration()),
            moment(poll.begin),
            task_line(trace, model, poll.task),
            cause_words(trace, model, poll)
        )?;
    }
    writeln!(out, "\nbusiest tasks")?;
    for task in model.busiest_tasks(LINES) {
        let entry = &model.tasks[task];
        writeln!(
            out,
            "{:>10}  in {}  {}",
            duration(entry.busy),
            counted(entry.polls as usize, "poll"),
            task_line(trace, model, task)
        )?;
    }
    writeln!(out, "\nlongest waits")?;
    for wait in model.longest_waits(LINES) {
        let wait = &model.waits[wait];
        writeln!(
            out,
            "{:>10}  {}  {}",
            duration(model.wait_end(wait).saturating_sub(wait.begin)),
            task_line(trace, model, wait.task),
            wait_words(trace, model, wait)
        )?;
    }
    Ok(())
}

/// Returns a task with its spawn location: `task 5.0 "import" (import.rs:14)`. In a merged trace the name of its
/// program is before it.
pub fn task_line(trace: &Trace, model: &Model, task: Index) -> String {
    let entry = &model.tasks[task];
    let kind = if entry.is_root() { "" } else { "task " };
    let kind = match trace.runtimes.get(entry.runtime) {
        Some(runtime) if !runtime.name.is_empty() => format!("{}: {kind}", clean(&runtime.name)),
        _ => kind.to_owned(),
    };
    let name = model.task_name(trace, task);
    match entry.place {
        0 => format!("{kind}{name}"),
        place => format!("{kind}{name} ({})", short_place(trace.text(place))),
    }
}

/// Returns in words what scheduled a task: `woken by task 3.0 "log"`.
pub fn cause_words(trace: &Trace, model: &Model, poll: &Poll) -> String {
    let by = poll.wake.and_then(|wake| model.wakes[wake].by);
    match by.filter(|by| !model.tasks[*by].is_root()) {
        Some(by) => format!("woken by task {}", model.task_name(trace, by)),
        None => poll.cause.sentence(),
    }
}

/// Returns a wait in words: `TcpStream::read at echo.rs:12 on fd 12, peer 127.0.0.1:40112`.
pub fn wait_words(trace: &Trace, model: &Model, wait: &Wait) -> String {
    let mut words = match wait.operation {
        0 => "unknown to the runtime".to_owned(),
        operation => clean(trace.text(operation)),
    };
    if wait.place != 0 {
        write!(words, " at {}", short_place(trace.text(wait.place))).ok();
    }
    let on = wait.on.sentence();
    if !on.is_empty() {
        write!(words, " on {on}").ok();
    }
    if wait.on.what == 1
        && let Some(peer) = model
            .peers
            .get(&(model.tasks[wait.task].runtime, wait.on.value))
    {
        write!(words, ", peer {}", clean(trace.text(*peer))).ok();
    }
    words
}

/// The names of the tasks, as far as the lines before have stated them.
#[derive(Default)]
struct Names(std::collections::HashMap<(u32, u32, u8), u32>);

impl Names {
    fn task(&self, trace: &Trace, event: &Event) -> String {
        let (row, generation) = (event.x, event.a);
        let name = self.0.get(&(event.runtime, row, generation));
        let name = name.map_or_else(String::new, |name| {
            format!(" \"{}\"", clean(trace.text(*name)))
        });
        match row {
            ROOT_ROW => "root".to_owned(),
            OUTSIDE_ROW => "no task".to_owned(),
            row => format!("task {row}.{generation}{name}"),
        }
    }

    /// Returns an event in words.
    fn line(&mut self, trace: &Trace, event: &Event) -> String {
        let Event { kind, a, x, y, .. } = *event;
        if kind == kind::NAME {
            self.0.insert((event.runtime, x, a), y);
        }
        let text = || clean(trace.text(y));
        let place = || short_place(trace.text(y));
        let words = match kind {
            kind::SPAWN => format!("spawned at {}", place()),
            kind::NAME => format!("is named \"{}\"", text()),
            kind::POLL_BEGIN => format!("poll begins, {}", Cause::of(y).sentence()),
            kind::POLL_END => format!("poll ends: {}", outcome(y)),
            kind::WAIT => format!("waits in {}", text()),
            kind::WAKE if y == OUTSIDE_ROW => "is woken from outside of a poll".to_owned(),
            kind::WAKE if y == ROOT_ROW => "is woken by the root future".to_owned(),
            kind::WAKE => format!("is woken by the task in row {y}"),
            kind::MARK => format!("mark \"{}\"", text()),
            kind::SPAN_BEGIN => format!("span \"{}\" begins", text()),
            kind::SPAN_END => format!("span \"{}\" ends", text()),
            kind::KEYFRAME_TASK => format!("has had {}", counted(y as usize, "poll")),
            kind::KEYFRAME_BUSY => {
                format!("was busy for {}", duration(u64::from(y) * 1000))
            }
            _ => return loop_line(trace, event),
        };
        debug_assert!(names_a_task(kind));
        format!("{:<16} {words}", self.task(trace, event))
    }
}

/// Returns an event that is not about a task in words.
fn loop_line(trace: &Trace, event: &Event) -> String {
    let Event { kind, a, x, y, .. } = *event;
    let words = match kind {
        kind::WAIT_ON => {
            let on = On { what: a, value: x }.sentence();
            let on = if on.is_empty() { "?" } else { &on };
            format!("  for {on} at {}", short_place(trace.text(y)))
        }
        kind::TURN_BEGIN => {
            let limit = match x {
                0 => "does not block".to_owned(),
                u32::MAX => "without limit".to_owned(),
                limit => format!("at most {}", duration(u64::from(limit) * 1_000_000)),
            };
            format!(
                "turn begins, {limit}; {} in the run queue",
                counted(y as usize, "task")
            )
        }
        kind::TURN_END => format!("turn ends, {}", counted(x as usize, "event")),
        kind::TIMER_ARMED => format!("timer {x} armed, due {}", due(y)),
        kind::TIMER_FIRED => match y {
            OUTSIDE_ROW => "timer fired".to_owned(),
            ROOT_ROW => "timer fired for the root future".to_owned(),
            row => format!("timer fired for task {row}.{a}"),
        },
        kind::OPERATION => operation(x, a, y),
        kind::CLOSURE_BEGIN => format!("closure {y} begins on another thread"),
        kind::CLOSURE_END => format!("closure {y} ends"),
        kind::MESSAGE => format!("{}: {}", counted(y as usize, "message"), message(x)),
        kind::SOURCE_ADDED => format!("fd {x} registered"),
        kind::SOURCE_REMOVED => format!("fd {x} deregistered"),
        kind::LOST => "the texts area is full: later texts are \"?\"".to_owned(),
        kind::KEYFRAME_BEGIN => format!("keyframe {y} of {}", counted(x as usize, "task")),
        kind::KEYFRAME_END => format!("end of keyframe {y}"),
        kind::PEER => format!("fd {x}: peer {}", clean(trace.text(y))),
        _ => format!("event of kind {kind}, unknown to this program"),
    };
    format!("{:<16} {words}", "loop")
}

/// Returns the outcome of a poll from the second number of its event.
fn outcome(y: u32) -> &'static str {
    match y {
        0 => "pending",
        1 => "ready",
        2 => "panicked",
        _ => "aborted",
    }
}

/// Returns an operation in words: `fd 12 received 40 bytes`.
pub(crate) fn operation(fd: u32, what: u8, result: u32) -> String {
    let result = result as i32;
    let (verb, noun) = match what {
        1 => ("received", "receive"),
        2 => ("sent", "send"),
        3 => ("accepted", "accept"),
        4 => ("connected", "connect"),
        _ => ("transferred", "transfer"),
    };
    match (what, result) {
        // EINPROGRESS and EAGAIN are no failures.
        (4, -115) => format!("fd {fd} begins to connect"),
        (_, -11) => format!("fd {fd}: {noun} would block"),
        (_, i32::MIN) => format!("fd {fd}: {noun} failed"),
        (_, ..0) => format!("fd {fd}: {noun} failed with errno {}", -result),
        (3, _) => format!("fd {fd} {verb} fd {result}"),
        (4, _) => format!("fd {fd} {verb}"),
        _ => format!("fd {fd} {verb} {}", counted(result as usize, "byte")),
    }
}

/// Returns the time until a timer is due in words, from the second number of its event.
pub(crate) fn due(ms: u32) -> String {
    let time = duration(u64::from(ms) * 1_000_000);
    match ms {
        u32::MAX => format!("in {time} or later"),
        _ => format!("in {time}"),
    }
}

/// Returns the kind of a message in words.
pub(crate) fn message(kind: u32) -> &'static str {
    match kind {
        0 => "wake",
        1 => "timer or waker",
        2 => "closure",
        3 => "abort",
        _ => "other",
    }
}
