//! What the loop records, if anything records: see [`crate::recorder`]. Called on cold paths.

use std::task::Waker;
use std::time::Duration;

use crate::context::{self, Core};

impl Core {
    #[cold]
    pub(super) fn record_turn_begin(&self, limit: Option<Duration>) {
        let limit_ms = limit.map_or(u32::MAX, |limit| {
            let ms = limit.as_nanos().div_ceil(1_000_000);
            u32::try_from(ms).unwrap_or(u32::MAX - 1)
        });
        let (queued, events) = (self.executor.queued(), self.reactor.counters().events);
        self.executor
            .recorder()
            .turn_began(limit_ms, queued, events);
    }

    /// Records a turn without a system call.
    #[cold]
    pub(super) fn record_skipped_turn(&self) {
        self.record_turn_begin(Some(Duration::ZERO));
        self.record_turn_end();
    }

    #[cold]
    pub(super) fn record_turn_end(&self) {
        let (queued, events) = (self.executor.queued(), self.reactor.counters().events);
        let now_ns = self.timers.clock.now_ns();
        let request = self.executor.recorder().turn_ended(queued, events, now_ns);
        if let Some(request) = request {
            self.executor.record_keyframe(request);
        }
    }

    #[cold]
    pub(super) fn record_timer_fired(&self, waker: &Waker) {
        let data =
            context::local_data(waker).filter(|data| data.runtime_index() == self.id.index());
        self.executor.recorder().timer_fired(data);
    }
}
