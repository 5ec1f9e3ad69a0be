//! The dump as text.
//!
//! ```text
//!  runtime 1 after 61.2 s, polling task 4.0: 1002 tasks, 1001 sources, 1 timer (next due in 1.8 s), 1 thread
//!  root: waits 61.0 s on JoinHandle at main.rs:30:7 (task 1.0 "accept"); ...
//!  998 tasks: spawned at main.rs:27:9, wait 100 ms to 58.0 s on TcpStream::read at echo.rs:12:5; longest: ...
//!  task 9.0: spawned at main.rs:40:5, waits on something outside of the runtime; ...
//! ```

use std::collections::HashMap;
use std::fmt;
use std::os::fd::RawFd;

use super::{Dump, LoopState, SourceInfo, TaskGroup, TimerInfo, Verdict, verdicts};
use crate::id::Id;
use crate::task_info::{Short, TaskInfo, TaskState, WaitTarget, Waiting, WakeCause};

/// Writes a dump; `{:#}` writes one line per task, source and timer.
pub(super) fn write(dump: &Dump, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let by_fd = dump.sources.iter().map(|source| (source.fd, source));
    let text = Text {
        dump,
        sources: by_fd.collect(),
    };
    text.head(f)?;
    text.verdicts(f)?;
    if let Some(root) = &dump.root {
        write!(f, "\nroot: block_on at {}", root.spawned_at)?;
        text.task_state(f, root)?;
    }
    if f.alternate() {
        for task in &dump.tasks {
            text.task(f, task)?;
        }
        for source in &dump.sources {
            text.source_line(f, source)?;
        }
        for timer in &dump.timers {
            text.timer_line(f, timer)?;
        }
    } else {
        for group in dump.groups() {
            match *group.tasks {
                [task] => text.task(f, task)?,
                _ => text.group(f, &group)?,
            }
        }
        text.external(f)?;
    }
    Ok(())
}

/// The number of tasks that one line names.
const NAMES: usize = 10;

/// Returns a number with its unit: `1 task`, `2 tasks`.
fn count(number: usize, unit: &str) -> String {
    match number {
        1 => format!("1 {unit}"),
        _ => format!("{number} {unit}s"),
    }
}

struct Text<'a> {
    dump: &'a Dump,
    sources: HashMap<RawFd, &'a SourceInfo>,
}

impl Text<'_> {
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dump = self.dump;
        write!(f, "runtime {} after {}, ", dump.runtime, Short(dump.at))?;
        match dump.loop_state {
            LoopState::Stopped => write!(f, "not running")?,
            LoopState::Polling(id) => write!(f, "polling {}", self.name(id))?,
            LoopState::PollingRoot => write!(f, "polling the root future")?,
            LoopState::BetweenPolls => write!(f, "between polls")?,
        }
        write!(f, ": {}", count(dump.tasks.len(), "task"))?;
        let scheduled = |task: &&TaskInfo| task.state == TaskState::Scheduled;
        match dump.tasks.iter().filter(scheduled).count() {
            0 => {}
            scheduled => write!(f, " ({scheduled} in the run queue)")?,
        }
        write!(f, ", {}", count(dump.sources.len(), "source"))?;
        write!(f, ", {}", count(dump.timers.len(), "timer"))?;
        if let Some(due) = dump.timers.first().and_then(|timer| timer.due) {
            write!(f, " (next due in {})", Short(due))?;
        }
        if dump.closures.waiting > 0 {
            write!(f, ", {}", count(dump.closures.waiting, "blocking closure"))?;
        }
        if dump.messages > 0 {
            write!(f, ", {}", count(dump.messages, "message"))?;
        }
        match dump.threads.len() {
            0 => Ok(()),
            threads => write!(f, ", {}", count(threads, "thread")),
        }
    }

    /// Returns a task as `task 3.0 "name"`, or the root future.
    fn name(&self, id: Id) -> String {
        if self.dump.root.as_ref().is_some_and(|root| root.id == id) {
            return "root".to_owned();
        }
        match self.dump.task(id).and_then(|task| task.name.as_ref()) {
            Some(name) => format!("task {id} {name:?}"),
            None => format!("task {id}"),
        }
    }

    fn task(&self, f: &mut fmt::Formatter<'_>, task: &TaskInfo) -> fmt::Result {
        write!(
            f,
            "\n{}: spawned at {}",
            self.name(task.id),
            task.spawned_at
        )?;
        self.task_state(f, task)
    }

    /// Writes what a task or the root future does.
    fn task_state(&self, f: &mut fmt::Formatter<'_>, task: &TaskInfo) -> fmt::Result {
        match (task.state, &task.waiting) {
            (TaskState::Waiting, Some(waiting)) => {
                write!(f, ", waits {}", Short(waiting.elapsed))?;
                self.wait(f, waiting)?;
                write!(f, " ({})", self.target(waiting.on))?;
            }
            (TaskState::Waiting, None) if task.waits_for.is_empty() => {
                write!(f, ", waits on something outside of the runtime")?;
            }
            (TaskState::Waiting, None) => write!(f, ", waits")?,
            (TaskState::Running, _) => write!(f, ", is being polled")?,
            (TaskState::Scheduled, _) => write!(f, ", is in the run queue")?,
            (TaskState::Finished, _) => write!(f, ", has ended and was not joined")?,
        }
        if task.state == TaskState::Waiting {
            let named = task.waiting.map(|waiting| waiting.on);
            let others = task.waits_for.iter().filter(|on| Some(**on) != named);
            for (number, on) in others.enumerate() {
                let separator = if number == 0 { "; also for" } else { "," };
                write!(f, "{separator} {}", self.target(*on))?;
            }
        }
        if task.state == TaskState::Waiting {
            match task.waker_clones {
                Some(0) if verdicts::is_lost(task) => write!(f, "; NOTHING CAN WAKE IT")?,
                Some(0) | None => {}
                Some(1) => write!(f, "; 1 clone of its waker exists")?,
                Some(clones) => write!(f, "; {clones} clones of its waker exist")?,
            }
        }
        let polls = count(usize::try_from(task.polls).unwrap_or(usize::MAX), "poll");
        write!(f, "; {polls}, last woken by {}", self.cause(task.last_wake))
    }

    fn wait(&self, f: &mut fmt::Formatter<'_>, waiting: &Waiting) -> fmt::Result {
        write!(f, " on {} at {}", waiting.operation, waiting.location)
    }

    fn group(&self, f: &mut fmt::Formatter<'_>, group: &TaskGroup<'_>) -> fmt::Result {
        let (longest, shortest) = (group.longest, group.shortest);
        let tasks = count(group.tasks.len(), "task");
        write!(f, "\n{tasks}: spawned at {}", longest.spawned_at)?;
        match (longest.state, &longest.waiting) {
            (TaskState::Waiting, Some(waiting)) => {
                write!(f, ", wait ")?;
                let most = Short(waiting.elapsed).to_string();
                let least = shortest
                    .waiting
                    .map(|least| Short(least.elapsed).to_string());
                if let Some(least) = least.filter(|least| *least != most) {
                    write!(f, "{least} to ")?;
                }
                write!(f, "{most}")?;
                self.wait(f, waiting)?;
                write!(f, "; longest: {}", self.name(longest.id))?;
                write!(f, " ({})", self.target(waiting.on))?;
            }
            _ => {
                match longest.state {
                    TaskState::Waiting if longest.waits_for.is_empty() => {
                        write!(f, ", wait on something outside of the runtime")?;
                    }
                    TaskState::Waiting => write!(f, ", wait")?,
                    TaskState::Running => write!(f, ", are being polled")?,
                    TaskState::Scheduled => write!(f, ", are in the run queue")?,
                    TaskState::Finished => write!(f, ", have ended and were not joined")?,
                }
                if verdicts::is_lost(longest) {
                    write!(f, "; NOTHING CAN WAKE THEM")?;
                }
                write!(f, "; first: {}", self.name(longest.id))?;
                if let Some(on) = longest.waits_for.first() {
                    write!(f, " ({})", self.target(*on))?;
                }
            }
        }
        Ok(())
    }

    /// Returns what a wait is for, with the addresses of a socket and the name of a task.
    fn target(&self, target: WaitTarget) -> String {
        match target {
            WaitTarget::Task(id) => self.name(id),
            WaitTarget::Descriptor(fd) => match self.sources.get(&fd) {
                Some(source) => source_text(source),
                None => target.to_string(),
            },
            _ => target.to_string(),
        }
    }

    fn cause(&self, cause: WakeCause) -> String {
        match (cause, self.dump.waking_task(cause)) {
            (WakeCause::Task { .. }, Some(task)) => self.name(task.id),
            (WakeCause::Task { .. }, None) => "a task that has ended".to_owned(),
            (WakeCause::Spawn, _) => "its spawn".to_owned(),
            (WakeCause::Yield, _) => "its yield".to_owned(),
            (WakeCause::Abort, _) => "an abort".to_owned(),
            (other, _) => other.to_string(),
        }
    }

    fn source_line(&self, f: &mut fmt::Formatter<'_>, source: &SourceInfo) -> fmt::Result {
        write!(f, "\n{}: ready {:?}", source_text(source), source.ready)?;
        for (word, waiters) in [("read", &source.readers), ("write", &source.writers)] {
            if !waiters.is_empty() {
                write!(f, "; to {word} waits {}", self.names(waiters))?;
            }
        }
        if source.external > 0 {
            let external = count(source.external, "external waker");
            write!(f, "; {external}")?;
        }
        Ok(())
    }

    fn timer_line(&self, f: &mut fmt::Formatter<'_>, timer: &TimerInfo) -> fmt::Result {
        write!(f, "\n{}: wakes ", WaitTarget::Timer(timer.due))?;
        match timer.task {
            Some(id) => write!(f, "{}", self.name(id)),
            None => write!(f, "an external waker"),
        }
    }

    fn verdicts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lost = Vec::new();
        for verdict in &self.dump.verdicts {
            match verdict {
                Verdict::Deadlock => f.write_str(
                    "\nDEADLOCK: no task can run, and no descriptor, timer, closure or thread can \
                     wake one",
                )?,
                Verdict::ProbableDeadlock {
                    threads,
                    wakers,
                    handles,
                } => {
                    let head = "\nPROBABLE DEADLOCK: only another thread can wake a task: ";
                    write!(f, "{head}{}", count(*threads, "other thread"))?;
                    match wakers {
                        Some(1) => f.write_str(", 1 clone of a waker")?,
                        Some(wakers) => write!(f, ", {wakers} clones of wakers")?,
                        None => {}
                    }
                    write!(f, ", {}", count(*handles, "handle"))?;
                }
                Verdict::OnlyFromOutside => {
                    f.write_str("\nevery task waits for something from outside of the process")?;
                }
                Verdict::LostWaker(id) => lost.push(*id),
                Verdict::Cycle(ids) => {
                    write!(f, "\nCYCLE: each awaits the next: {}", self.names(ids))?;
                }
            }
        }
        if !lost.is_empty() {
            let head = "\nLOST WAKER: registered nowhere, and no clone of the waker exists: ";
            write!(f, "{head}{}", self.names(&lost))?;
        }
        Ok(())
    }

    /// Returns the first tasks, and the number of the others.
    fn names(&self, ids: &[Id]) -> String {
        let shown = ids.iter().take(NAMES);
        let names: Vec<String> = shown.map(|id| self.name(*id)).collect();
        let names = names.join(", ");
        match ids.len().saturating_sub(NAMES) {
            0 => names,
            more => format!("{names} and {more} more"),
        }
    }

    /// Writes how many operations wait with a waker that is not a task's.
    fn external(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_sources: usize = self.dump.sources.iter().map(|source| source.external).sum();
        let of_timers = self.dump.timers.iter().filter(|timer| timer.task.is_none());
        match of_sources + of_timers.count() {
            0 => Ok(()),
            1 => write!(f, "\n1 operation waits with an external waker"),
            number => write!(f, "\n{number} operations wait with external wakers"),
        }
    }
}

/// Returns a descriptor as `fd 7, TCP stream 127.0.0.1:80, peer 127.0.0.1:40112`.
fn source_text(source: &SourceInfo) -> String {
    let mut text = format!("fd {}", source.fd);
    if let Some(kind) = source.kind {
        text.push_str(", ");
        text.push_str(kind.names().0);
    }
    for (word, address) in [(" ", &source.local), (", peer ", &source.peer)] {
        if let Some(address) = address {
            text.push_str(word);
            text.push_str(address);
        }
    }
    text
}
