//! Reads the tables of a runtime and asks the kernel.
//!
//! Called by [`super::dump`] and by the runtime's other entries. Runs no user code (I3): wakers are
//! looked at and neither cloned nor dropped.

use std::collections::{HashMap, HashSet};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use super::{
    ClosureInfo, Detail, Dump, LoopState, SourceInfo, SourceKind, ThreadInfo, TimerInfo, verdicts,
};
use crate::context::Core;
use crate::executor::task_rows::{TaskRow, WakeTarget};
use crate::id::Id;
use crate::reactor::source::Source;
use crate::sys::inspect;
use crate::table::Key;
use crate::task_info::{TaskInfo, WaitInfo, WaitKind, WaitTarget, Waiting};
use crate::waker_counts;
use crate::watch::harmless;

/// The number of descriptors about which the kernel is asked, and of threads that are listed.
const LIMIT: usize = 1000;

/// Returns what a runtime does now. Called on its thread, by user code.
pub(crate) fn collect(core: &Core, detail: Detail) -> Dump {
    let is_between_polls = loop_state(core) == LoopState::BetweenPolls;
    // Then it is called by a waker, a destructor or a closure. What that does next is not known, and the rest of
    // the wakers or messages is in no table.
    collect_from(core, detail, !is_between_polls, other_threads)
}

/// As [`collect`], for the loop, when everything that it has taken out of its tables was handled.
pub(crate) fn collect_at_rest(core: &Core) -> Dump {
    collect_from(core, Detail::Limited, true, other_threads)
}

fn collect_from(
    core: &Core,
    detail: Detail,
    at_rest: bool,
    other_threads: impl FnOnce(&Core) -> Option<usize>,
) -> Dump {
    // First: what a thread did before it ended is in the tables and messages that are read after it.
    let other_threads = other_threads(core);
    let mut reader = Reader::new(core);
    let sources = reader.sources(detail);
    let timers = reader.timers();
    let tasks: Vec<TaskRow> = core.executor.task_rows().collect();
    reader.joins(&tasks);
    let root = core.executor.root_row().map(|row| reader.root(row));
    let tasks = tasks.into_iter().map(|row| reader.task(row)).collect();
    let (queued, threads, idle_threads) = core.blocking.counts();
    let mut dump = Dump {
        format: 1,
        runtime: core.id.serial(),
        at: Duration::from_nanos(reader.now_ns),
        loop_state: loop_state(core),
        root,
        tasks,
        sources,
        timers,
        closures: ClosureInfo {
            waiting: core.blocking.pending(),
            queued,
            threads,
            idle_threads,
        },
        // After the clones of wakers: one that was woken and dropped in between is a message now.
        messages: core.remote.inbox().len() + core.messages_left.get(),
        threads: process_threads(),
        verdicts: Vec::new(),
    };
    let idle = at_rest && !core.executor.has_work() && !core.timers.has_expired();
    let handles = Arc::strong_count(&core.remote).saturating_sub(OWN_REFERENCES);
    let around = verdicts::Around {
        idle,
        waits_for_thread: core.waits_for_thread(),
        handles,
        other_threads,
    };
    dump.verdicts = verdicts::of(&dump, around);
    dump
}

/// Returns the number of threads of this process that can wake a task: not this one, nor idle ones of this
/// runtime's blocking pool, nor those that only watch a loop. `None` if it is not known.
fn other_threads(core: &Core) -> Option<usize> {
    let idle_threads = || core.blocking.counts().2;
    let before = idle_threads();
    let watches = harmless::begun();
    let count = inspect::thread_count()?;
    let watches = harmless::harmless_since(watches);
    // One that was busy before can have started another thread, and one that is busy now has work.
    let idle = before.min(idle_threads());
    count.checked_sub(1 + idle + watches)
}

/// The references to the shared part of a runtime that are not a user's `Handle`: of the registry, the
/// core, the reactor and the runtime.
const OWN_REFERENCES: usize = 4;

/// Returns all tasks, and those of them that wait and that nothing can wake. The latter are none unless the
/// clones of wakers are counted.
pub(crate) fn lost_wakers(core: &Core) -> (HashSet<Id>, Vec<TaskInfo>) {
    let mut lost = tasks(core);
    let alive = lost.iter().map(|task| task.id).collect();
    lost.retain(verdicts::is_lost);
    if core.remote.inbox().is_pending() {
        lost.clear();
    }
    (alive, lost)
}

/// Returns every task of a runtime as it is now, without asking the kernel.
pub(crate) fn tasks(core: &Core) -> Vec<TaskInfo> {
    let mut reader = Reader::new(core);
    core.reactor
        .for_each_source(|key, source| drop(reader.waiters(key, source)));
    reader.timers();
    let tasks: Vec<TaskRow> = core.executor.task_rows().collect();
    reader.joins(&tasks);
    tasks.into_iter().map(|row| reader.task(row)).collect()
}

fn loop_state(core: &Core) -> LoopState {
    if let Some(id) = core.executor.running() {
        LoopState::Polling(id)
    } else if core.executor.is_polling_root() {
        LoopState::PollingRoot
    } else if core.executor.root_row().is_some() {
        LoopState::BetweenPolls
    } else {
        LoopState::Stopped
    }
}

fn process_threads() -> Vec<ThreadInfo> {
    let current = inspect::current_thread();
    let threads = inspect::threads(LIMIT).into_iter();
    let info = |(id, name)| ThreadInfo {
        id,
        name,
        is_current: current == Some(id),
    };
    threads.map(info).collect()
}

/// Collects what can wake each task, from the tables of its runtime.
struct Reader<'a> {
    core: &'a Core,
    now_ns: u64,
    /// The source of the signals of the process.
    signals: Option<Key>,
    targets: HashMap<Id, Vec<WaitTarget>>,
    /// What is in `targets`. Otherwise a task with many timers would be searched through for each of them.
    known: HashSet<(Id, Identity)>,
    /// The descriptors for which an operation with an external waker waits.
    external: HashSet<RawFd>,
    /// The deadlines of the armed timers.
    deadlines: HashMap<u32, (Key, u64)>,
}

impl<'a> Reader<'a> {
    fn new(core: &'a Core) -> Self {
        let signals = core.signals.borrow();
        Reader {
            core,
            now_ns: core.timers.clock.now_ns(),
            signals: signals.as_ref().map(|(key, _words)| *key),
            targets: HashMap::new(),
            known: HashSet::new(),
            external: HashSet::new(),
            deadlines: HashMap::new(),
        }
    }

    /// Returns what a waker wakes, after adding the target to what that waits for.
    fn add(&mut self, waker: &Waker, target: WaitTarget) -> WakeTarget {
        let wakes = self.core.executor.target_of(waker);
        if let WakeTarget::Task(id) = wakes
            && self.known.insert((id, identity(target)))
        {
            self.targets.entry(id).or_default().push(target);
        }
        wakes
    }

    fn sources(&mut self, detail: Detail) -> Vec<SourceInfo> {
        let core = self.core;
        let mut sources = Vec::with_capacity(core.reactor.sources());
        core.reactor.for_each_source(|key, source| {
            let mut info = self.waiters(key, source);
            if self.signals == Some(key) {
                info.kind = Some(SourceKind::Signals);
            } else if (detail == Detail::All || sources.len() < LIMIT)
                && let Some(asked) = inspect::descriptor(info.fd)
            {
                info.kind = Some(asked.kind);
                (info.local, info.peer) = (asked.local, asked.peer);
            }
            sources.push(info);
        });
        sources
    }

    /// Returns what the reactor knows about a source, after adding it to what its waiters wait for.
    fn waiters(&mut self, key: Key, source: &Source) -> SourceInfo {
        let fd = source.fd();
        let target = if self.signals == Some(key) {
            WaitTarget::Signal(None)
        } else {
            WaitTarget::Descriptor(fd)
        };
        let (mut readers, mut writers, mut external) = (Vec::new(), Vec::new(), 0);
        source.for_each_waiter(|writes, waker| match self.add(waker, target) {
            WakeTarget::Task(id) if writes => writers.push(id),
            WakeTarget::Task(id) => readers.push(id),
            WakeTarget::External => external += 1,
            // Left by a `poll_*` function.
            WakeTarget::Nothing => {}
        });
        if external > 0 {
            self.external.insert(fd);
        }
        SourceInfo {
            fd,
            kind: None,
            local: None,
            peer: None,
            ready: source.ready(),
            readers,
            writers,
            external,
        }
    }

    fn timers(&mut self) -> Vec<TimerInfo> {
        let core = self.core;
        let mut timers = Vec::with_capacity(core.timers.armed());
        core.timers.for_each(|key, deadline_ns, waker| {
            self.deadlines.insert(key.index(), (key, deadline_ns));
            let due = self.until(deadline_ns);
            let task = match self.add(waker, WaitTarget::Timer(due)) {
                WakeTarget::Task(id) => Some(id),
                WakeTarget::Nothing | WakeTarget::External => None,
            };
            timers.push(TimerInfo { due, task });
        });
        core.timers.for_each_expired(|waker| {
            self.add(waker, WaitTarget::Timer(Some(Duration::ZERO)));
        });
        timers.sort_by_key(|timer| timer.due.unwrap_or(Duration::MAX));
        timers
    }

    /// Returns the time until a deadline. The end of the clock's range means "never" (I7).
    fn until(&self, deadline_ns: u64) -> Option<Duration> {
        let left = || Duration::from_nanos(deadline_ns.saturating_sub(self.now_ns));
        (deadline_ns != u64::MAX).then(left)
    }

    /// Adds each task to what its joiner waits for.
    fn joins(&mut self, tasks: &[TaskRow]) {
        for task in tasks {
            if let Some(joiner) = task.joiner {
                let target = WaitTarget::Task(task.id);
                self.targets.entry(joiner).or_default().push(target);
            }
        }
    }

    fn root(&mut self, row: TaskRow) -> TaskInfo {
        let mut root = self.task(row);
        if let Some(location) = crate::context::blocking_on() {
            root.spawned_at = location;
        }
        root
    }

    fn task(&mut self, row: TaskRow) -> TaskInfo {
        let mut waits_for = self.targets.remove(&row.id).unwrap_or_default();
        let waiting = row.wait.map(|wait| self.waiting(wait, &waits_for));
        if let Some(waiting) = &waiting {
            put_first(&mut waits_for, waiting.on);
        }
        let counted = self.core.executor.counts_wakers();
        TaskInfo {
            id: row.id,
            name: row.name,
            spawned_at: row.spawned_at,
            state: row.state,
            polls: row.polls,
            waiting,
            waits_for,
            waker_clones: counted.then(|| waker_counts::of(row.waker_data)),
            last_wake: row.last_wake,
        }
    }

    /// Returns a recorded wait. `found` is what the tables have about its task: the operation can have been
    /// dropped after it was recorded.
    fn waiting(&self, wait: WaitInfo, found: &[WaitTarget]) -> Waiting {
        let on = match wait.on.kind() {
            WaitKind::Descriptor(fd) => {
                let target = WaitTarget::Descriptor(fd);
                if contains(found, target) || self.external.contains(&fd) {
                    target
                } else {
                    WaitTarget::Gone
                }
            }
            WaitKind::List => WaitTarget::List,
            WaitKind::Closure => WaitTarget::Closure,
            WaitKind::Signal(number) => WaitTarget::Signal(Some(number)),
            WaitKind::Task => {
                let id = self.core.executor.id_of_wait(wait.on);
                id.map_or(WaitTarget::Gone, WaitTarget::Task)
            }
            WaitKind::Timer => {
                let armed = self.deadlines.get(&wait.on.row());
                match armed.filter(|(key, _)| wait.on.is_of(*key)) {
                    Some((_, deadline_ns)) => WaitTarget::Timer(self.until(*deadline_ns)),
                    None => WaitTarget::Gone,
                }
            }
        };
        let elapsed = self.now_ns.saturating_sub(wait.since_ns);
        Waiting {
            operation: wait.operation,
            location: wait.location,
            on,
            elapsed: Duration::from_nanos(elapsed),
        }
    }
}

/// Puts the target of the recorded wait before what was found in the tables.
fn put_first(targets: &mut Vec<WaitTarget>, on: WaitTarget) {
    if matches!(on, WaitTarget::Gone) {
        return;
    }
    targets.retain(|target| identity(*target) != identity(on));
    targets.insert(0, on);
}

fn contains(targets: &[WaitTarget], target: WaitTarget) -> bool {
    let target = identity(target);
    targets.iter().any(|found| identity(*found) == target)
}

/// What two targets in one dump have in common if they are the same.
type Identity = (u8, u64, u32);

/// Returns the identity of a target. The tables do not know the number of a signal.
// Not `==`, and not inlined: the compiler would compare the bytes of both before it knows which variant has them,
// and memcheck reports that as a use of uninitialized bytes.
#[inline(never)]
fn identity(target: WaitTarget) -> Identity {
    match target {
        WaitTarget::Descriptor(fd) => (0, 0, fd.cast_unsigned()),
        WaitTarget::Timer(None) => (1, 0, 0),
        WaitTarget::Timer(Some(due)) => (2, due.as_secs(), due.subsec_nanos()),
        WaitTarget::Task(id) => (3, id.key.to_bits(), 0),
        WaitTarget::List => (4, 0, 0),
        WaitTarget::Closure => (5, 0, 0),
        WaitTarget::Signal(_) => (6, 0, 0),
        WaitTarget::Gone => (7, 0, 0),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::mpsc;
    use std::task::Poll;
    use std::thread;

    use super::*;
    use crate::context;
    use crate::dump::{Outcome, Verdict};
    use crate::inbox::Message;
    use crate::runtime::block_on;

    /// The verdict of a dump for which the count of threads is `count`.
    fn verdict(count: impl FnOnce(&Waker) -> Option<usize> + Send + 'static) -> Option<Verdict> {
        let (send, sent) = mpsc::channel();
        block_on(async {
            let core = context::require("the test");
            let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
            // Made by the loop, between two polls.
            let make = move || {
                let core = context::require("the test");
                let count = |_: &Core| count(&waker);
                let dump = collect_from(&core, Detail::Limited, true, count);
                let verdict = dump.verdicts.first().cloned();
                assert_eq!(dump.outcome() == Outcome::Fine, verdict.is_none());
                send.send(verdict).expect("the test waits");
                waker.wake();
            };
            let message = Message::RunAfterBatch(Box::new(make));
            core.remote
                .send(message)
                .expect("the runtime has not ended");
            let mut polls = 0;
            poll_fn(|_| {
                polls += 1;
                if polls == 2 {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        });
        sent.recv().expect("the dump was made")
    }

    #[test]
    fn what_a_thread_did_before_it_ended_is_in_the_dump_that_does_not_count_it() {
        assert_eq!(verdict(|_| Some(0)), Some(Verdict::Deadlock));
        // The thread wakes the root and ends, before it would be counted.
        let ended = |waker: &Waker| {
            let waker = waker.clone();
            thread::spawn(move || waker.wake())
                .join()
                .expect("no panic");
            Some(0)
        };
        assert_eq!(verdict(ended), None);
    }
}
