//! A recording as JSON for Perfetto and `chrome://tracing`.
//!
//! ```text
//! process           the runtime; in a merged trace the runtimes of one program
//!   thread 0        the loop: a slice per epoll_wait, instants of messages
//!   thread 1        the root future
//!   thread 2 + row  a slice per task in that row, and its polls inside
//! ```
//!
//! Slices have type `X`, and within a thread they nest or do not touch: Perfetto drops others. Closures and
//! spans of user code can overlap anything, so they are asynchronous events with a track of their own.

use std::fmt::Write;

use crate::format::{ROOT_ROW, kind};
use crate::model::{Index, Instant, Model};
use crate::read::Trace;
use crate::text::{cause_words, due, message, operation, wait_words};
use crate::words::{clean, counted, json};

/// Returns the recording as JSON.
pub fn render(trace: &Trace, model: &Model) -> String {
    let mut out = Out {
        json: String::from("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"),
        pid: 0,
        trace,
        model,
    };
    for group in 0..model.groups.len() {
        out.names(group);
    }
    out.notes();
    out.lives();
    out.polls();
    out.turns();
    out.flows();
    out.asynchronous();
    out.instants();
    out.json.push_str("\n],\"otherData\":{\"warnings\":[");
    for (index, warning) in trace.warnings.iter().enumerate() {
        if index > 0 {
            out.json.push(',');
        }
        json(&mut out.json, warning);
    }
    out.json.push_str("]}}\n");
    out.json
}

/// Thread of the loop.
const LOOP: u64 = 0;

/// Returns the thread of a row.
fn thread(row: u32) -> u64 {
    match row {
        ROOT_ROW => 1,
        row => 2 + u64::from(row),
    }
}

/// The JSON so far.
struct Out<'a> {
    json: String,
    pid: u64,
    trace: &'a Trace,
    model: &'a Model,
}

impl Out<'_> {
    /// Lets the next events be those of a group.
    fn in_group(&mut self, group: Index) {
        self.pid = match &self.model.groups[group].name[..] {
            "" => self.trace.runtime,
            _ => group as u64 + 1,
        };
    }

    fn in_runtime(&mut self, runtime: Index) {
        self.in_group(self.model.group_of[runtime]);
    }

    fn in_runtime_of(&mut self, task: Index) {
        self.in_runtime(self.model.tasks[task].runtime);
    }

    /// Begins an event. The caller adds members and calls [`end`](Self::end).
    fn begin(&mut self, phase: &str, thread: u64, time: u64, name: &str) {
        if !self.json.ends_with('\n') {
            self.json.push_str(",\n");
        }
        write!(
            self.json,
            "{{\"ph\":\"{phase}\",\"pid\":{},\"tid\":{thread},\"ts\":{}.{:03},\"name\":",
            self.pid,
            time / 1000,
            time % 1000
        )
        .ok();
        json(&mut self.json, name);
    }

    fn end(&mut self) {
        self.json.push('}');
    }

    /// Adds a duration.
    fn duration(&mut self, ns: u64) {
        write!(self.json, ",\"dur\":{}.{:03}", ns / 1000, ns % 1000).ok();
    }

    /// Adds arguments: texts by name.
    fn args(&mut self, args: &[(&str, &str)]) {
        self.json.push_str(",\"args\":{");
        let shown = args.iter().filter(|(_, value)| !value.is_empty());
        for (index, (name, value)) in shown.enumerate() {
            if index > 0 {
                self.json.push(',');
            }
            json(&mut self.json, name);
            self.json.push(':');
            json(&mut self.json, value);
        }
        self.json.push('}');
    }

    /// Names the process of a group and its threads.
    fn names(&mut self, group: Index) {
        self.in_group(group);
        let process = match &self.model.groups[group].name[..] {
            "" => format!("runtime {} (pid {})", self.trace.runtime, self.trace.pid),
            name => clean(name),
        };
        self.metadata("process_name", LOOP, &process);
        self.metadata("thread_name", LOOP, "loop");
        let (tasks, group_of) = (self.model.tasks.iter(), &self.model.group_of);
        let tasks = tasks.filter(|task| group_of[task.runtime] == group);
        let mut rows: Vec<u32> = tasks.map(|task| task.row).collect();
        rows.sort_unstable_by_key(|row| thread(*row));
        rows.dedup();
        for row in rows {
            let name = match row {
                ROOT_ROW => "root".to_owned(),
                row => format!("row {row}"),
            };
            self.metadata("thread_name", thread(row), &name);
            self.begin("M", thread(row), 0, "thread_sort_index");
            write!(self.json, ",\"args\":{{\"sort_index\":{}}}", thread(row)).ok();
            self.end();
        }
    }

    fn metadata(&mut self, what: &str, thread: u64, name: &str) {
        self.begin("M", thread, 0, what);
        self.args(&[("name", name)]);
        self.end();
    }

    /// Writes a slice per task, around its polls.
    fn lives(&mut self) {
        for (index, task) in self.model.tasks.iter().enumerate() {
            let name = self.model.task_name(self.trace, index);
            let outcome = task.end.map_or("alive", |(_, outcome)| outcome.word());
            self.in_runtime(task.runtime);
            self.begin("X", thread(task.row), task.begin, &name);
            self.duration(self.model.task_end(task).saturating_sub(task.begin));
            self.args(&[
                ("spawned at", self.trace.text(task.place)),
                ("end", outcome),
            ]);
            self.end();
        }
    }

    fn polls(&mut self) {
        for poll in &self.model.polls {
            let row = self.model.tasks[poll.task].row;
            let wait = poll.wait.map(|wait| &self.model.waits[wait]);
            let words =
                wait.map_or_else(String::new, |wait| wait_words(self.trace, self.model, wait));
            let place = wait.map_or(0, |wait| wait.place);
            self.in_runtime_of(poll.task);
            self.begin("X", thread(row), poll.begin, "poll");
            self.duration(poll.duration());
            write!(self.json, ",\"cat\":\"{}\"", poll.cause.word()).ok();
            self.args(&[
                ("cause", &cause_words(self.trace, self.model, poll)),
                ("outcome", poll.outcome.word()),
                ("then waits in", &words),
                ("at", self.trace.text(place)),
            ]);
            self.end();
        }
    }

    fn turns(&mut self) {
        for turn in &self.model.turns {
            self.in_runtime(turn.runtime);
            self.begin("X", LOOP, turn.begin, "epoll_wait");
            self.duration(turn.end - turn.begin);
            let events = turn
                .events
                .map_or_else(|| "not returned".to_owned(), |n| n.to_string());
            self.args(&[("events", &events)]);
            self.end();
        }
        for (runtime, time, length) in &self.model.queue {
            self.in_runtime(*runtime);
            self.begin("C", LOOP, *time, "run queue");
            write!(self.json, ",\"args\":{{\"tasks\":{length}}}").ok();
            self.end();
        }
    }

    /// Writes a pair of arrows' ends per wake of a task by a task. A wake without a poll after it, or outside
    /// of a poll, has no slice to begin or end in.
    fn flows(&mut self) {
        for (index, wake) in self.model.wakes.iter().enumerate() {
            let (Some(from), Some(to)) = (wake.from_poll, wake.to_poll) else {
                continue;
            };
            let time = wake.time.min(self.model.polls[from].end);
            let begin = self.model.polls[to].begin;
            self.in_runtime_of(wake.woken);
            self.begin("s", self.thread_of(from), time, "wake");
            write!(self.json, ",\"cat\":\"wake\",\"id\":{index}").ok();
            self.end();
            self.begin("f", self.thread_of(to), begin, "wake");
            write!(self.json, ",\"cat\":\"wake\",\"id\":{index},\"bp\":\"e\"").ok();
            self.end();
        }
    }

    fn thread_of(&self, poll: Index) -> u64 {
        thread(self.model.tasks[self.model.polls[poll].task].row)
    }

    /// Writes closures and spans.
    fn asynchronous(&mut self) {
        for (index, closure) in self.model.closures.iter().enumerate() {
            let name = format!("closure {}", closure.number);
            let end = self.model.ends[closure.runtime];
            let to = closure.end.unwrap_or(end).max(closure.begin);
            self.in_runtime(closure.runtime);
            let id = format!("closure {index}");
            self.pair(&id, "closure", LOOP, &name, closure.begin, to);
        }
        for (index, span) in self.model.spans.iter().enumerate() {
            let task = &self.model.tasks[span.task];
            let row = thread(task.row);
            let end = self.model.ends[task.runtime];
            let to = span.end.unwrap_or(end).max(span.begin);
            self.in_runtime(task.runtime);
            let name = self.trace.text(span.name).to_owned();
            self.pair(&format!("span {index}"), "span", row, &name, span.begin, to);
        }
    }

    /// Writes what happened from outside.
    fn notes(&mut self) {
        for (index, note) in self.trace.notes.iter().enumerate() {
            let groups = &self.model.groups;
            let group = groups.iter().position(|group| group.name == note.name);
            self.in_group(group.unwrap_or(0));
            let (id, text) = (format!("note {index}"), clean(&note.text));
            self.pair(&id, "note", LOOP, &text, note.begin, note.end);
        }
    }

    fn pair(&mut self, id: &str, category: &str, thread: u64, name: &str, begin: u64, end: u64) {
        for (phase, time) in [("b", begin), ("e", end)] {
            self.begin(phase, thread, time, name);
            write!(self.json, ",\"cat\":\"{category}\",\"id\":").ok();
            json(&mut self.json, id);
            self.end();
        }
    }

    fn instants(&mut self) {
        for instant in &self.model.instants {
            let name = instant_words(self.trace, instant);
            let row = instant
                .task
                .map_or(LOOP, |task| thread(self.model.tasks[task].row));
            self.in_runtime(instant.runtime);
            self.begin("i", row, instant.time, &name);
            self.json.push_str(",\"s\":\"t\"");
            self.end();
        }
    }
}

/// Returns what happened in words.
fn instant_words(trace: &Trace, instant: &Instant) -> String {
    match instant.kind {
        kind::TIMER_ARMED => format!("timer {} armed, due {}", instant.x, due(instant.y)),
        kind::TIMER_FIRED => "timer fired".to_owned(),
        kind::OPERATION => operation(instant.x, instant.a, instant.y),
        kind::MESSAGE => format!(
            "{}: {}",
            counted(instant.y as usize, "message"),
            message(instant.x)
        ),
        kind::SOURCE_ADDED => format!("fd {} registered", instant.x),
        kind::SOURCE_REMOVED => format!("fd {} deregistered", instant.x),
        kind::MARK => trace.text(instant.y).to_owned(),
        _ => "texts lost".to_owned(),
    }
}
