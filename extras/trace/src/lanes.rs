//! The runtimes of a trace beside each other: which of them share lanes, and the lists of all of them as one.

use crate::model::{Index, Model};
use crate::read::Trace;

/// Lanes that are drawn together: those of a runtime, and of later ones with the same name, such as those of a program
/// that was started again.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Group {
    /// Name of the program, host or file; `""` in a trace of one recording.
    pub name: String,
    /// Its runtimes, by begin.
    pub runtimes: Vec<Index>,
}

/// Returns the groups of a trace. A note about a name without a runtime has one of its own.
pub(crate) fn groups(trace: &Trace) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (index, runtime) in trace.runtimes.iter().enumerate() {
        let has_room = |group: &&mut Group| {
            let last = group.runtimes.last().map(|last| &trace.runtimes[*last]);
            group.name == runtime.name && last.is_none_or(|last| last.end <= runtime.begin)
        };
        match groups.iter_mut().find(has_room) {
            Some(group) => group.runtimes.push(index),
            None => groups.push(Group {
                name: runtime.name.clone(),
                runtimes: vec![index],
            }),
        }
    }
    for note in &trace.notes {
        if !groups.iter().any(|group| group.name == note.name) {
            groups.push(Group {
                name: note.name.clone(),
                runtimes: Vec::new(),
            });
        }
    }
    groups
}

impl Model {
    /// Adds the lists of one runtime.
    pub(crate) fn append(&mut self, other: Self, runtime: Index) {
        let (tasks, polls) = (self.tasks.len(), self.polls.len());
        let (waits, wakes) = (self.waits.len(), self.wakes.len());
        let task = |index: Index| index + tasks;
        let poll = |index: Index| index + polls;
        for mut entry in other.tasks {
            entry.runtime = runtime;
            entry.longest = entry.longest.map(poll);
            entry.last_poll = entry.last_poll.map(poll);
            entry.waiting = entry.waiting.map(|wait| wait + waits);
            self.tasks.push(entry);
        }
        for mut entry in other.polls {
            entry.task = task(entry.task);
            entry.wait = entry.wait.map(|wait| wait + waits);
            entry.wake = entry.wake.map(|wake| wake + wakes);
            self.polls.push(entry);
        }
        for mut entry in other.waits {
            entry.task = task(entry.task);
            self.waits.push(entry);
        }
        for mut entry in other.wakes {
            entry.woken = task(entry.woken);
            entry.by = entry.by.map(task);
            entry.from_poll = entry.from_poll.map(poll);
            entry.to_poll = entry.to_poll.map(poll);
            self.wakes.push(entry);
        }
        for mut entry in other.turns {
            entry.runtime = runtime;
            self.turns.push(entry);
        }
        for mut entry in other.closures {
            entry.runtime = runtime;
            entry.task = entry.task.map(task);
            self.closures.push(entry);
        }
        for mut entry in other.spans {
            entry.task = task(entry.task);
            self.spans.push(entry);
        }
        for mut entry in other.instants {
            entry.runtime = runtime;
            entry.task = entry.task.map(task);
            self.instants.push(entry);
        }
        let queue = other.queue.into_iter();
        self.queue
            .extend(queue.map(|(_, time, length)| (runtime, time, length)));
        let peers = other.peers.into_iter();
        self.peers
            .extend(peers.map(|((_, fd), text)| ((runtime, fd), text)));
        self.ends.push(other.end);
    }
}
