//! How long a turn may block: not at all, until the next timer is due, or until an event.
//!
//! Called by the loop before each turn. With a paused clock the next deadline is not waited for: the
//! clock jumps to it, unless an operation waits for an event, which does not follow the paused time.

use std::io::Write;
use std::task::Waker;
use std::time::Duration;

use crate::context::Core;
use crate::inbox::ParkOutcome;
use crate::timer::auto_advance::AutoAdvance;

const NOT_AT_ALL: Option<Duration> = Some(Duration::ZERO);

/// What to do about a paused clock that an operation holds.
const FOR_IO: &str = "The clock does not jump while an operation waits for a descriptor, a signal or a \
     blocking closure. Call `time::advance`, or build the runtime with \
     `Builder::auto_advance_despite_io(true)`";
/// The same for a closure, for which that option changes nothing.
const FOR_CLOSURE: &str = "The clock does not jump before it ends. Call `time::advance`, or await its \
     handle first";

impl Core {
    /// Returns the limit of the next turn: zero does not block, `None` blocks without limit. Unless it
    /// is zero, "parked" has been published (I5).
    #[inline]
    pub(super) fn park_timeout(&self) -> Option<Duration> {
        if self.executor.has_work() || self.timers.has_expired() {
            return NOT_AT_ALL;
        }
        let timeout = if self.timers.is_empty() {
            None
        } else {
            self.until_next_deadline()
        };
        if timeout == NOT_AT_ALL || self.should_spin() {
            return NOT_AT_ALL;
        }
        match self.remote.inbox().prepare_park() {
            ParkOutcome::Block => timeout,
            ParkOutcome::Abort => NOT_AT_ALL,
        }
    }

    /// Returns whether busy polling asks for another round instead of parking. With a paused clock
    /// there is no time to measure, so a wait for external events is spent parked.
    #[inline]
    fn should_spin(&self) -> bool {
        let clock = &self.timers.clock;
        self.busy_poll.is_on() && !clock.is_paused() && self.busy_poll.should_spin(clock.now_ns())
    }

    /// Reports to busy polling that this round has found work.
    #[inline]
    pub(super) fn record_wakeup(&self) {
        if self.busy_poll.is_on() && self.executor.has_work() {
            self.busy_poll.wait_ended(self.timers.clock.now_ns());
        }
    }

    fn until_next_deadline(&self) -> Option<Duration> {
        if self.timers.clock.is_paused() {
            return self.jump_to_next_deadline();
        }
        // The end of the clock's range means "never" (I7).
        let deadline_ns = self
            .timers
            .next_deadline_ns()
            .filter(|ns| *ns != u64::MAX)?;
        let ns = deadline_ns.saturating_sub(self.timers.clock.now_ns());
        Some(Duration::from_nanos(ns))
    }

    /// Moves a paused clock to the next deadline, unless an operation waits for an external event.
    /// Such an event does not follow the paused time.
    #[cold]
    fn jump_to_next_deadline(&self) -> Option<Duration> {
        // The end of the clock's range means "never" (I7).
        let earliest_ns = self.timers.earliest_ns();
        let deadline_ns = earliest_ns.filter(|ns| *ns != u64::MAX)?;
        // A timer that is due already, by `advance` or from before the pause, needs no jump.
        if deadline_ns > self.timers.clock.now_ns() {
            if self.remote.inbox().is_pending() {
                return NOT_AT_ALL;
            }
            let advance = &self.timers.auto_advance;
            let waits_for_io = self.waits_for_io();
            if self.waits_for_thread() || waits_for_io && !advance.is_despite_io() {
                return advance.until_report();
            }
            if waits_for_io && advance.begin_look(self.executor.counters().all_polls()) {
                return NOT_AT_ALL;
            }
            self.timers.clock.advance_to(deadline_ns);
        }
        NOT_AT_ALL
    }

    /// Reports, once per runtime, that a paused clock does not move because of a wait for an event.
    #[cold]
    pub(super) fn report_if_stuck(&self) {
        let stuck = self.timers.clock.is_paused()
            && !self.executor.has_work()
            && !self.remote.inbox().is_pending();
        let Some(deadline_ns) = self.timers.earliest_ns().filter(|_| stuck) else {
            return;
        };
        self.timers.auto_advance.reported();
        let due = Duration::from_nanos(deadline_ns.saturating_sub(self.timers.clock.now_ns()));
        let for_io = self.waits_for_io() && !self.timers.auto_advance.is_despite_io();
        let (wait, advice) = if self.waits_for_thread() && !for_io {
            (
                "a blocking closure or a name lookup runs".to_owned(),
                FOR_CLOSURE,
            )
        } else {
            let describe = |fd, waker: &Waker| self.executor.describe_wait(fd, waker);
            let wait = self.reactor.first_operation(describe);
            let wait = wait.or_else(|| self.executor.first_wait_for_io());
            let wait = wait.unwrap_or_else(|| "an operation waits".to_owned());
            (wait, FOR_IO)
        };
        // A failure to write is ignored, because there is no other place for the report.
        writeln!(
            std::io::stderr(),
            "wakeful: a paused clock has not moved for {:?}: {wait}, and the next timer is due in \
             {due:?}. {advice}",
            AutoAdvance::REPORT_AFTER,
        )
        .ok();
    }
}
