//! Whether a paused clock jumps to the next deadline although an operation waits for an event.
//!
//! Used by the loop when nothing can run. An event comes in real time, so the default is to wait for it.
//! With `Builder::auto_advance_despite_io` the clock jumps all the same, as tokio's does, but only after
//! one more turn that found no event.

use std::cell::Cell;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct AutoAdvance {
    despite_io: bool,
    /// The number of polls when a turn was made to look for events.
    looked_after: Cell<Option<u64>>,
    /// Whether the report about a clock that does not move was written.
    reported: Cell<bool>,
}

impl AutoAdvance {
    /// The real time after which the runtime reports that its paused clock does not move.
    pub(crate) const REPORT_AFTER: Duration = Duration::from_secs(1);

    pub(crate) fn new(despite_io: bool) -> Self {
        AutoAdvance {
            despite_io,
            looked_after: Cell::new(None),
            reported: Cell::new(false),
        }
    }

    pub(crate) fn is_despite_io(&self) -> bool {
        self.despite_io
    }

    /// Returns whether a turn has to look for events before the jump, and records that it will. `polls`
    /// is the number of polls so far: if there was one since the last look, that look is out of date.
    pub(crate) fn begin_look(&self, polls: u64) -> bool {
        self.looked_after.replace(Some(polls)) != Some(polls)
    }

    /// Returns the limit of a turn that waits for an event: the time to the report, if it was not
    /// written yet.
    pub(crate) fn until_report(&self) -> Option<Duration> {
        (!self.reported.get()).then_some(Self::REPORT_AFTER)
    }

    pub(crate) fn reported(&self) {
        self.reported.set(true);
    }
}
