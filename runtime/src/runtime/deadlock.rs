//! What the loop does before it waits without a limit: it looks whether anything can end the wait.
//!
//! Called before each turn that would block without a limit. A server that listens, or has a connection, is
//! found to wait for a descriptor at once, so the rest costs it nothing. Otherwise, after a pause without a
//! poll, the verdict of a dump decides: [`mod@crate::dump`].

use std::io::Write;
use std::time::Duration;

use crate::context::{self, Core};
use crate::deadlock_watch::{Found, LostWakerHook, OnDeadlock};
use crate::dump::{self, Dump, Outcome};
use crate::watch::harmless;

/// The pause before the first look, and between two looks while a thread of the pool is on its way to be idle, or
/// a watch thread calls its hook.
/// A program that other threads wake often is not looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// The number of looks for which such a thread is waited.
const MAX_LOOKS: u32 = 50;

impl Core {
    /// Returns the limit of a turn that is about to block without one: usually none.
    #[inline]
    pub(super) fn before_endless_wait(&self) -> Option<Duration> {
        if self.reactor.any_waits() {
            return None;
        }
        self.check_deadlock()
    }

    #[cold]
    fn check_deadlock(&self) -> Option<Duration> {
        if self.deadlocks.policy == OnDeadlock::Ignore {
            return None;
        }
        let now = self.timers.clock.passing_now();
        let polls = self.executor.counters().all_polls();
        let same = self
            .deadlocks
            .found
            .get()
            .filter(|found| found.polls == polls);
        let mut found = same.unwrap_or(Found {
            polls,
            since: now,
            looks: 0,
            reported: false,
        });
        found.looks += 1;
        self.deadlocks.found.set(Some(found));
        if found.reported || self.waits_for_thread() {
            return None;
        }
        if found.looks == 1 {
            return Some(PAUSE);
        }
        let in_hook = harmless::any_in_hook();
        let dump = dump::collect_at_rest(self);
        match dump.outcome() {
            Outcome::Fine => None,
            Outcome::Deadlock => {
                self.act_on_deadlock(found, "a deadlock", &dump);
                None
            }
            Outcome::Probable => {
                let left = self
                    .deadlocks
                    .after
                    .map(|after| after.saturating_sub(now.saturating_duration_since(found.since)));
                if left == Some(Duration::ZERO) {
                    self.act_on_deadlock(found, "probably a deadlock", &dump);
                    return None;
                }
                let pool_is_busy = dump.closures.threads > dump.closures.idle_threads;
                let is_busy = pool_is_busy || in_hook || harmless::any_in_hook();
                if is_busy && found.looks < MAX_LOOKS {
                    return Some(left.map_or(PAUSE, |left| left.min(PAUSE)));
                }
                left
            }
        }
    }

    fn act_on_deadlock(&self, found: Found, what: &str, dump: &Dump) {
        let report = format!("{what} of the Wakeful runtime\n{dump}");
        match self.deadlocks.policy {
            OnDeadlock::Panic => {
                // The turn that would do it does not come.
                self.remote.inbox().set_awake();
                self.deadlocks.found.set(None);
                panic!("{report}");
            }
            OnDeadlock::Report => {
                let reported = Found {
                    reported: true,
                    ..found
                };
                self.deadlocks.found.set(Some(reported));
                // A failure to write is ignored, because there is no other place for the report.
                writeln!(std::io::stderr(), "wakeful: {report}").ok();
            }
            OnDeadlock::Ignore => {}
        }
    }

    /// Calls the hook for lost wakers, before a turn.
    #[inline]
    pub(super) fn report_lost_wakers(&self) {
        if let Some(hook) = &self.deadlocks.on_lost_waker
            && !self.executor.has_work()
        {
            self.find_lost_wakers(hook);
        }
    }

    #[cold]
    fn find_lost_wakers(&self, hook: &LostWakerHook) {
        let polls = self.executor.counters().all_polls();
        // Without a poll nothing has begun to wait. The drop of a waker in between is found after the next.
        if self.deadlocks.lost_after.replace(Some(polls)) == Some(polls) {
            return;
        }
        let (alive, lost) = dump::lost_wakers(self);
        // Those that have ended are forgotten, so the set is not larger than the table of tasks.
        self.deadlocks
            .lost
            .borrow_mut()
            .retain(|id| alive.contains(id));
        for task in lost {
            if self.deadlocks.lost.borrow_mut().insert(task.id) {
                let call = || context::run_hook(|| hook(&task));
                self.executor.catch_panic("the hook for lost wakers", call);
            }
        }
    }
}
