//! The dump in JSON, by a writer of its own, so that the crate needs no serializer.
//!
//! `docs/dump.schema.json` has the schema, and `tests/tests/dump.rs` validates against it.

use std::fmt::{Display, Write};
use std::panic::Location;
use std::time::Duration;

use super::{Dump, LoopState, SourceInfo, ThreadInfo, TimerInfo, Verdict};
use crate::id::Id;
use crate::ready::Ready;
use crate::task_info::{TaskInfo, TaskState, WaitTarget, Waiting, WakeCause};

/// Writes a dump.
pub(super) fn write(dump: &Dump) -> String {
    let mut json = Json::default();
    json.object(|json| {
        json.field("format", dump.format);
        json.field("runtime", dump.runtime);
        json.time("at_ns", dump.at);
        json.key("loop");
        json.object(|json| loop_state(json, dump.loop_state));
        json.key("root");
        match &dump.root {
            Some(root) => task(json, dump, root),
            None => json.raw("null"),
        }
        json.list("tasks", &dump.tasks, |json, info| task(json, dump, info));
        json.list("sources", &dump.sources, source);
        json.list("timers", &dump.timers, timer);
        json.key("closures");
        json.object(|json| {
            json.field("waiting", dump.closures.waiting);
            json.field("queued", dump.closures.queued);
            json.field("threads", dump.closures.threads);
            json.field("idle_threads", dump.closures.idle_threads);
        });
        json.field("messages", dump.messages);
        json.list("threads", &dump.threads, thread);
        json.list("verdicts", &dump.verdicts, verdict);
    });
    json.text
}

fn loop_state(json: &mut Json, state: LoopState) {
    json.string(
        "state",
        match state {
            LoopState::Stopped => "stopped",
            LoopState::Polling(_) => "polling",
            LoopState::PollingRoot => "polling_root",
            LoopState::BetweenPolls => "between_polls",
        },
    );
    if let LoopState::Polling(id) = state {
        json.string("task", &id.to_string());
    }
}

fn task(json: &mut Json, dump: &Dump, task: &TaskInfo) {
    json.object(|json| {
        json.string("id", &task.id.to_string());
        json.optional("name", task.name.as_deref());
        json.place("spawned_at", task.spawned_at);
        json.string(
            "state",
            match task.state {
                TaskState::Running => "running",
                TaskState::Scheduled => "scheduled",
                TaskState::Waiting => "waiting",
                TaskState::Finished => "finished",
            },
        );
        json.field("polls", task.polls);
        json.key("waiting");
        match &task.waiting {
            Some(waiting) => json.object(|json| wait(json, waiting)),
            None => json.raw("null"),
        }
        json.list("waits_for", &task.waits_for, |json, on| target(json, *on));
        match task.waker_clones {
            Some(clones) => json.field("waker_clones", clones),
            None => json.field("waker_clones", "null"),
        }
        json.key("last_wake");
        json.object(|json| cause(json, dump, task.last_wake));
    });
}

fn wait(json: &mut Json, waiting: &Waiting) {
    json.string("operation", waiting.operation);
    json.place("location", waiting.location);
    json.time("elapsed_ns", waiting.elapsed);
    json.key("on");
    target(json, waiting.on);
}

fn target(json: &mut Json, target: WaitTarget) {
    json.object(|json| match target {
        WaitTarget::Descriptor(fd) => {
            json.string("kind", "descriptor");
            json.field("fd", fd);
        }
        WaitTarget::Timer(due) => {
            json.string("kind", "timer");
            json.optional_time("due_ns", due);
        }
        WaitTarget::Task(id) => {
            json.string("kind", "task");
            json.string("id", &id.to_string());
        }
        WaitTarget::Signal(number) => {
            json.string("kind", "signal");
            match number {
                Some(number) => json.field("number", number),
                None => json.field("number", "null"),
            }
        }
        WaitTarget::Gone => json.string("kind", "gone"),
        WaitTarget::List => json.string("kind", "list"),
        WaitTarget::Closure => json.string("kind", "closure"),
    });
}

fn cause(json: &mut Json, dump: &Dump, cause: WakeCause) {
    let name = match cause {
        WakeCause::Spawn => "spawn",
        WakeCause::Io { .. } => "io",
        WakeCause::Timer => "timer",
        WakeCause::Task { .. } => "task",
        WakeCause::Root => "root",
        WakeCause::Thread => "thread",
        WakeCause::Yield => "yield",
        WakeCause::Abort => "abort",
    };
    json.string("cause", name);
    match cause {
        WakeCause::Io { fd, ready: events } => {
            json.field("fd", fd);
            ready(json, events);
        }
        WakeCause::Task { .. } => {
            let id = dump.waking_task(cause).map(|task| task.id.to_string());
            json.optional("id", id.as_deref());
        }
        _ => {}
    }
}

fn ready(json: &mut Json, ready: Ready) {
    let names = [
        (ready.is_readable(), "readable"),
        (ready.is_writable(), "writable"),
        (ready.is_read_closed(), "read_closed"),
        (ready.is_write_closed(), "write_closed"),
        (ready.is_priority(), "priority"),
        (ready.is_error(), "error"),
    ];
    let names: Vec<&str> = names
        .iter()
        .filter(|name| name.0)
        .map(|name| name.1)
        .collect();
    json.list("ready", &names, |json, name| json.quoted(name));
}

fn source(json: &mut Json, source: &SourceInfo) {
    json.object(|json| {
        json.field("fd", source.fd);
        json.optional("kind", source.kind.map(|kind| kind.names().1));
        json.optional("local", source.local.as_deref());
        json.optional("peer", source.peer.as_deref());
        ready(json, source.ready);
        json.list("readers", &source.readers, |json, id| {
            json.quoted(&id.to_string());
        });
        json.list("writers", &source.writers, |json, id| {
            json.quoted(&id.to_string());
        });
        json.field("external", source.external);
    });
}

fn timer(json: &mut Json, timer: &TimerInfo) {
    json.object(|json| {
        json.optional_time("due_ns", timer.due);
        json.optional("task", timer.task.map(|id| id.to_string()).as_deref());
    });
}

fn verdict(json: &mut Json, verdict: &Verdict) {
    let ids = |json: &mut Json, ids: &[Id]| {
        json.list("tasks", ids, |json, id| json.quoted(&id.to_string()));
    };
    json.object(|json| match verdict {
        Verdict::Deadlock => json.string("verdict", "deadlock"),
        Verdict::ProbableDeadlock {
            threads,
            wakers,
            handles,
        } => {
            json.string("verdict", "probable_deadlock");
            json.field("threads", threads);
            match wakers {
                Some(wakers) => json.field("wakers", wakers),
                None => json.field("wakers", "null"),
            }
            json.field("handles", handles);
        }
        Verdict::OnlyFromOutside => json.string("verdict", "only_from_outside"),
        Verdict::LostWaker(id) => {
            json.string("verdict", "lost_waker");
            ids(json, &[*id]);
        }
        Verdict::Cycle(cycle) => {
            json.string("verdict", "cycle");
            ids(json, cycle);
        }
    });
}

fn thread(json: &mut Json, thread: &ThreadInfo) {
    json.object(|json| {
        json.field("id", thread.id);
        json.string("name", &thread.name);
        json.field("is_current", thread.is_current);
    });
}

/// JSON text that grows.
#[derive(Default)]
struct Json {
    text: String,
}

impl Json {
    fn raw(&mut self, value: impl Display) {
        // Writing to a `String` cannot fail.
        write!(self.text, "{value}").ok();
    }

    /// Writes the comma before a value, unless it is the first one of its object or list.
    fn separate(&mut self) {
        if !self.text.ends_with(['{', '[', ':']) && !self.text.is_empty() {
            self.text.push(',');
        }
    }

    fn object(&mut self, fields: impl FnOnce(&mut Self)) {
        self.separate();
        self.text.push('{');
        fields(self);
        self.text.push('}');
    }

    fn key(&mut self, name: &str) {
        self.quoted(name);
        self.text.push(':');
    }

    fn list<T>(&mut self, name: &str, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.key(name);
        self.text.push('[');
        for item in items {
            write(self, item);
        }
        self.text.push(']');
    }

    /// Writes a number, a boolean or `null`.
    fn field(&mut self, name: &str, value: impl Display) {
        self.key(name);
        self.raw(value);
    }

    fn string(&mut self, name: &str, value: &str) {
        self.key(name);
        self.quoted(value);
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.string(name, value),
            None => self.field(name, "null"),
        }
    }

    fn time(&mut self, name: &str, time: Duration) {
        self.field(name, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    fn optional_time(&mut self, name: &str, time: Option<Duration>) {
        match time {
            Some(time) => self.time(name, time),
            None => self.field(name, "null"),
        }
    }

    fn place(&mut self, name: &str, place: &Location<'_>) {
        self.key(name);
        self.object(|json| {
            json.string("file", place.file());
            json.field("line", place.line());
            json.field("column", place.column());
        });
    }

    fn quoted(&mut self, text: &str) {
        self.separate();
        self.text.push('"');
        for character in text.chars() {
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                control if control < ' ' || control == '\x7f' => {
                    write!(self.text, "\\u{:04x}", u32::from(control)).ok();
                }
                other => self.text.push(other),
            }
        }
        self.text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_values_are_separated() {
        let mut json = Json::default();
        json.object(|json| {
            json.string("a\"\\", "\x1b[2J\n\u{e9}");
            json.field("b", 7);
            json.list("c", &["x,", "{"], |json, text| json.quoted(text));
            json.list("d", &[1, 2], |json, _| json.object(|_| ()));
            json.optional_time("e", None);
            json.optional("f", Some(""));
        });
        assert_eq!(
            json.text,
            r#"{"a\"\\":"\u001b[2J\u000aé","b":7,"c":["x,","{"],"d":[{},{}],"e":null,"f":""}"#
        );
    }
}
