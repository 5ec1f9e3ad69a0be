//! What a runtime records about its loop, its descriptors, timers and messages, if it records.
//!
//! Called on cold paths by the loop and by the operations of users; calls [`crate::recorder`]. The executor
//! records tasks itself. Runs no user code (I3).

use std::collections::VecDeque;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::context::{self, Core};
use crate::inbox::Message;
use crate::recorder::event::Kind;
use crate::table::Key;

impl Core {
    #[cold]
    pub(crate) fn record_turn_begin(&self, limit: Option<Duration>) {
        // An installed kernel leads here as well.
        if !self.executor.recorder().is_on() {
            return;
        }
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
    pub(crate) fn record_skipped_turn(&self) {
        self.record_turn_begin(Some(Duration::ZERO));
        self.record_turn_end();
    }

    #[cold]
    pub(crate) fn record_turn_end(&self) {
        if !self.executor.recorder().is_on() {
            return;
        }
        let (queued, events) = (self.executor.queued(), self.reactor.counters().events);
        // A paused clock has not moved since the last reading.
        let now_ns = self.timers.loop_now_ns();
        let request = self.executor.recorder().turn_ended(queued, events, now_ns);
        if let Some(request) = request {
            self.executor.record_keyframe(request);
        }
    }

    #[cold]
    pub(crate) fn record_timer_fired(&self, waker: &Waker) {
        let data =
            context::local_data(waker).filter(|data| data.runtime_index() == self.id.index());
        self.executor.recorder().timer_fired(data);
    }

    /// Records that a source was added or is removed.
    #[cold]
    pub(crate) fn record_source(&self, kind: Kind, key: Key) {
        if let Some(fd) = self.reactor.fd(key) {
            let recorder = self.executor.recorder();
            recorder.event(kind, 0, fd.cast_unsigned(), key.index());
        }
    }

    /// Records that a timer was armed.
    #[cold]
    pub(crate) fn record_timer_armed(&self, key: Key, deadline: Instant) {
        let recorder = self.executor.recorder();
        // Without a recording the clock is not read.
        if !recorder.is_on() {
            return;
        }
        // From the time of the event. The last turn can be long ago, if a poll takes long.
        let now = if recorder.has_time_of_turns() {
            self.timers.loop_now()
        } else {
            self.timers.clock.now()
        };
        let due = deadline.saturating_duration_since(now);
        let due_ms = u32::try_from(due.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX);
        let generation = key.generation() as u8;
        recorder.event(Kind::TimerArmed, generation, key.index(), due_ms);
    }

    /// Records how many messages of each kind were received.
    #[cold]
    pub(crate) fn record_messages(&self, messages: &VecDeque<Message>) {
        let mut counts = [0; 5];
        for message in messages {
            let kind = match message {
                Message::Wake(_) => 0,
                Message::RemoveTimer(_) | Message::WakeTimer(_) | Message::RemoveWaiter(..) => 1,
                Message::Run(_) | Message::RunAfterBatch(_) => 2,
                Message::Abort(_) => 3,
                Message::Detach(_) | Message::RemoveSource(_) => 4,
            };
            counts[kind] += 1;
        }
        for (kind, count) in (0..).zip(counts).filter(|(_, count)| *count > 0) {
            self.executor
                .recorder()
                .event(Kind::Message, 0, kind, count);
        }
    }
}
