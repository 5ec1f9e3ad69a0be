//! The recorder: writes what a runtime does into a ring of events in shared memory.
//!
//! Called by the executor, the loop and the public operations, on cold paths behind the test of
//! [`hooks::any`]. Off, it is `None` and nothing else exists. Runs no user code (I3).
//!
//! [`Recorder`] has one function per thing that happens. [`event`] has the numbers, [`ring`] the memory,
//! [`time`] the clock.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::panic::Location;

use crate::hooks::{self, HookGuard};
use crate::id::WakerData;
use crate::sys::inspect;
use crate::task_info::{WaitInfo, WakeCause};

pub(crate) mod event;
pub(crate) mod recording;
mod ring;
pub(crate) mod time;

use event::{Kind, NO_TASK, Operation, POLLED_NONE, POLLED_ROOT, PollEnd, ROOT_ROW, word};
use recording::Recording;
use ring::Ring;
use time::TraceTime;

/// The row of the root future in the table of tasks.
const ROOT: u32 = 0;

/// The most events that a task has in a keyframe.
const EVENTS_OF_TASK: usize = 6;

/// The recording of one runtime, if there is one.
#[derive(Default)]
pub(crate) struct Recorder {
    /// Whether `active` is set: for a test without a borrow.
    on: Cell<bool>,
    active: RefCell<Option<Box<Active>>>,
}

/// A recording that is written.
struct Active {
    ring: Ring,
    time: TraceTime,
    /// The number of the runtime's thread.
    thread: u32,
    /// By the row of the task.
    rows: Vec<RowInfo>,
    polls: u64,
    /// The task of the poll in progress, and the time at which it began.
    polled: Option<WakerData>,
    poll_began: u64,
    /// The time of the next calibration.
    calibrate_at: u64,
    /// The reactor's number of events at the beginning of the turn.
    events_before: u64,
    /// The last request that was answered.
    answered: u32,
    closures: u32,
    /// Whether the event of lost texts was written.
    said_lost: bool,
    _hook: HookGuard,
}

/// What is known of the task in a row.
#[derive(Clone, Copy, Default)]
struct RowInfo {
    /// Time in polls, in the unit of times.
    busy: u64,
    /// The address of the place where the task was spawned, and its text.
    spawned_at: usize,
    place: u32,
}

/// A task, as its wakers identify it, with its full generation and the place of its spawn.
#[derive(Clone, Copy)]
pub(crate) struct PolledTask {
    pub(crate) data: WakerData,
    pub(crate) generation: u32,
    pub(crate) spawned_at: &'static Location<'static>,
}

/// A task in a keyframe.
pub(crate) struct KeyframeTask<'a> {
    pub(crate) task: PolledTask,
    pub(crate) name: Option<&'a str>,
    pub(crate) polls: u64,
    pub(crate) wait: Option<&'a WaitInfo>,
}

/// Returns the row and the generation of a task in events.
fn identity(data: WakerData) -> (u32, u8) {
    let row = match data.row() {
        ROOT => ROOT_ROW,
        row if data == WakerData::NONE => {
            debug_assert_eq!(row, u32::MAX);
            NO_TASK
        }
        row => row,
    };
    (row, data.generation() as u8)
}

impl Recorder {
    /// Begins a recording. `runtime` is the number of the runtime.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if the runtime records already; else the error of making the file or the mapping.
    pub(crate) fn start(
        &self,
        recording: &Recording,
        runtime: u64,
        time: TraceTime,
    ) -> io::Result<()> {
        let mut active = self.active.borrow_mut();
        if active.is_some() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "this runtime records already; call `trace::stop` first",
            ));
        }
        let ring = Ring::new(recording).map_err(|error| explain(recording, &error))?;
        ring.set(word::RUNTIME, runtime);
        ring.set_unit(time.unit(), time.flags());
        ring.set(word::WALL_CLOCK, time.wall_clock_ns());
        ring.set(word::START, time.start());
        ring.set(word::POLLED, POLLED_NONE);
        let thread = inspect::current_thread().unwrap_or(0).cast_unsigned();
        ring.set_pair(word::LOOP, 0, thread);
        ring.publish();
        *active = Some(Box::new(Active {
            ring,
            time,
            thread,
            rows: Vec::new(),
            polls: 0,
            polled: None,
            poll_began: 0,
            calibrate_at: 0,
            events_before: 0,
            answered: 0,
            closures: 0,
            said_lost: false,
            _hook: hooks::set(hooks::RECORD),
        }));
        self.on.set(true);
        Ok(())
    }

    /// Ends the recording. Returns `false` if there was none.
    pub(crate) fn stop(&self) -> bool {
        self.on.set(false);
        let active = self.active.take();
        if let Some(active) = &active {
            active.calibrate();
            active.set_flags(event::FLAG_ENDED);
        }
        active.is_some()
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on.get()
    }

    /// Returns whether there is a recording whose times are those of the runtime's clock as of the last turn.
    pub(crate) fn has_time_of_turns(&self) -> bool {
        matches!(&*self.active.borrow(), Some(active) if active.time.is_virtual())
    }

    /// Copies the recording.
    pub(crate) fn to_bytes(&self) -> Option<Vec<u8>> {
        let active = self.active.borrow();
        active.as_ref().map(|active| {
            active.calibrate();
            active.ring.to_bytes()
        })
    }

    #[inline]
    fn with(&self, write: impl FnOnce(&mut Active)) {
        if let Some(active) = self.active.borrow_mut().as_deref_mut() {
            write(active);
        }
    }

    pub(crate) fn spawned(&self, task: PolledTask) {
        self.with(|active| active.spawned(task));
    }

    pub(crate) fn named(&self, data: WakerData, name: &str) {
        self.with(|active| active.named(data, name));
    }

    pub(crate) fn poll_began(&self, task: PolledTask, cause: WakeCause) {
        self.with(|active| active.poll_began(task, cause));
    }

    /// Records the end of a poll, and before it the wait that the poll has begun.
    pub(crate) fn poll_ended(&self, end: PollEnd, wait: Option<&WaitInfo>) {
        self.with(|active| {
            if let Some(data) = active.polled.take() {
                if let Some(wait) = wait {
                    active.wait(data, wait);
                }
                active.poll_ended(data, end);
            }
        });
    }

    /// Records a wake that put a task into the run queue. Those of the loop are known from the poll.
    pub(crate) fn woken(&self, data: WakerData, cause: WakeCause) {
        let by = match cause {
            WakeCause::Task { row, .. } => row,
            WakeCause::Root => ROOT_ROW,
            WakeCause::Thread | WakeCause::Abort => NO_TASK,
            WakeCause::Spawn | WakeCause::Io { .. } | WakeCause::Timer | WakeCause::Yield => return,
        };
        self.with(|active| {
            let (row, a) = identity(data);
            active.push(Kind::Wake, a, row, by);
        });
    }

    /// Records that a turn begins. The reactor has counted `events` so far.
    pub(crate) fn turn_began(&self, limit_ms: u32, queued: u32, events: u64) {
        self.with(|active| {
            active.events_before = events;
            active.push(Kind::TurnBegin, 0, limit_ms, queued);
            active.set_loop_state(limit_ms != 0);
        });
    }

    /// Records that a turn has ended. The time of the runtime's clock is now `now_ns`. Returns the request of a
    /// reader that is not answered.
    pub(crate) fn turn_ended(&self, queued: u32, events: u64, now_ns: u64) -> Option<u32> {
        let mut request = None;
        self.with(|active| {
            active.time.set_runtime_now(now_ns);
            active.set_loop_state(false);
            let (now, events) = (active.time.now(), events - active.events_before);
            active.calibrate_if_due(now);
            active.push_at(now, Kind::TurnEnd, 0, events as u32, queued);
            active.ring.set(word::QUEUED, queued.into());
            request = Some(active.ring.request()).filter(|request| *request != active.answered);
        });
        request
    }

    /// Records an event whose numbers the caller has.
    pub(crate) fn event(&self, kind: Kind, a: u8, x: u32, y: u32) {
        self.with(|active| active.push(kind, a, x, y));
    }

    /// Records an event of a task with a text.
    pub(crate) fn text_event(&self, kind: Kind, data: WakerData, text: &'static str) {
        self.with(|active| {
            let text = active.ring.static_text(text);
            let (row, a) = identity(data);
            active.push(kind, a, row, text);
        });
    }

    /// Records an operation on a descriptor.
    pub(crate) fn operation(
        &self,
        fd: RawFd,
        operation: Operation,
        result: Result<usize, &io::Error>,
    ) {
        let result = event::operation_result(result);
        self.event(Kind::Operation, operation as u8, fd.cast_unsigned(), result);
    }

    /// Records that a timer fired; `None` for an external waker.
    pub(crate) fn timer_fired(&self, data: Option<WakerData>) {
        let (row, a) = identity(data.unwrap_or(WakerData::NONE));
        self.event(Kind::TimerFired, a, NO_TASK, row);
    }

    /// Records the address of a peer.
    pub(crate) fn peer(&self, fd: u32, peer: &str) {
        self.with(|active| {
            let text = active.ring.text(peer);
            active.push(Kind::Peer, 0, fd, text);
        });
    }

    /// Returns a number for a closure and the clock with which its thread measures.
    pub(crate) fn closure(&self) -> Option<(u32, TraceTime)> {
        let mut closure = None;
        self.with(|active| {
            active.closures = active.closures.wrapping_add(1);
            closure = Some((active.closures, active.time));
        });
        closure
    }

    /// Records the beginning and the end of a closure, which another thread has measured with `clock`.
    pub(crate) fn closure_ended(
        &self,
        data: WakerData,
        clock: TraceTime,
        number: u32,
        [began, ended]: [u64; 2],
    ) {
        self.with(|active| {
            let (row, a) = identity(data);
            // Otherwise it began under an earlier recording.
            if active.time.has_started_with(clock) {
                active.ring.push(began, Kind::ClosureBegin, a, row, number);
                active.ring.push(ended, Kind::ClosureEnd, a, row, number);
            }
        });
    }

    /// Returns whether a list of these tasks is useful at the end: if it is, the last request. It is not if no
    /// event was overwritten, or if the list would overwrite more than a quarter of the ring.
    pub(crate) fn needs_list_of<T>(&self, tasks: impl Iterator<Item = T>) -> Option<u32> {
        let active = self.active.borrow();
        let active = active.as_deref()?;
        // Counted only with a recording.
        let tasks = tasks.count();
        let fits = tasks.saturating_mul(EVENTS_OF_TASK) <= active.ring.capacity() / 4;
        (tasks > 0 && fits && active.ring.has_overwritten()).then_some(active.answered)
    }

    /// Writes a list of all tasks.
    pub(crate) fn keyframe<'a>(
        &self,
        request: u32,
        count: usize,
        tasks: impl Iterator<Item = KeyframeTask<'a>>,
    ) {
        self.with(|active| {
            active.push(Kind::KeyframeBegin, 0, count as u32, request);
            tasks.for_each(|task| active.keyframe_task(&task));
            active.push(Kind::KeyframeEnd, 0, 0, request);
            active.answered = request;
            active.ring.set_answered(request);
        });
    }
}

impl Active {
    /// Appends an event that happens now.
    #[inline]
    fn push(&mut self, kind: Kind, a: u8, x: u32, y: u32) {
        let now = self.time.now();
        self.push_at(now, kind, a, x, y);
    }

    #[inline]
    fn push_at(&mut self, now: u64, kind: Kind, a: u8, x: u32, y: u32) {
        self.ring.push(now, kind, a, x, y);
        if self.ring.has_lost_text() && !self.said_lost {
            self.report_lost(now);
        }
    }

    #[cold]
    fn report_lost(&mut self, now: u64) {
        self.said_lost = true;
        self.ring.push(now, Kind::Lost, 0, 0, 1);
        self.set_flags(0);
    }

    fn set_flags(&self, flags: u32) {
        self.ring
            .set_unit(self.time.unit(), flags | self.time.flags());
    }

    /// Calibrates when the recording is twice as old as at the last calibration, or some milliseconds have
    /// passed since. Not more often, because a calibration costs more than an event.
    fn calibrate_if_due(&mut self, now: u64) {
        const OFTEN_ENOUGH: u64 = 1 << 24;
        if now >= self.calibrate_at {
            self.calibrate_at = now + now.min(OFTEN_ENOUGH);
            self.calibrate();
        }
    }

    fn calibrate(&self) {
        let (time, ns) = self.time.calibration();
        // Zero while the other word does not belong to it.
        self.ring.set(word::CALIBRATION_TIME, 0);
        self.ring.set(word::CALIBRATION_NS, ns);
        self.ring.set(word::CALIBRATION_TIME, time);
    }

    fn set_loop_state(&self, parked: bool) {
        self.ring
            .set_pair(word::LOOP, u32::from(parked), self.thread);
    }

    fn row(&mut self, row: u32) -> &mut RowInfo {
        let row = row as usize;
        if row >= self.rows.len() {
            self.rows.resize(row + 1, RowInfo::default());
        }
        &mut self.rows[row]
    }

    /// Returns the text of the place where a task was spawned.
    fn place_of(&mut self, task: PolledTask) -> u32 {
        let address = std::ptr::from_ref(task.spawned_at).addr();
        let known = *self.row(task.data.row());
        if known.spawned_at == address {
            return known.place;
        }
        let place = self.ring.place(task.spawned_at);
        let row = self.row(task.data.row());
        (row.spawned_at, row.place) = (address, place);
        place
    }

    fn spawned(&mut self, task: PolledTask) {
        self.row(task.data.row()).busy = 0;
        let place = self.place_of(task);
        let (row, a) = identity(task.data);
        self.push(Kind::Spawn, a, row, place);
    }

    fn named(&mut self, data: WakerData, name: &str) {
        let text = self.ring.text(name);
        let (row, a) = identity(data);
        self.push(Kind::Name, a, row, text);
    }

    fn poll_began(&mut self, task: PolledTask, cause: WakeCause) {
        let place = self.place_of(task);
        let (row, a) = identity(task.data);
        let now = self.time.now();
        (self.polled, self.poll_began) = (Some(task.data), now);
        self.push_at(now, Kind::PollBegin, a, row, event::cause(cause));
        self.polls += 1;
        let polled = if row == ROOT_ROW {
            POLLED_ROOT
        } else {
            event::second_word(row, task.generation)
        };
        self.ring.set(word::POLLED, polled);
        self.ring.set(word::POLLED_PLACE, place.into());
        self.ring.set(word::POLLS, self.polls);
    }

    fn poll_ended(&mut self, data: WakerData, end: PollEnd) {
        let (row, a) = identity(data);
        let now = self.time.now();
        let took = now.saturating_sub(self.poll_began);
        self.row(data.row()).busy += took;
        self.push_at(now, Kind::PollEnd, a, row, end as u32);
        self.ring.set(word::POLLED, POLLED_NONE);
    }

    fn wait(&mut self, data: WakerData, wait: &WaitInfo) {
        let operation = self.ring.static_text(wait.operation);
        let place = self.ring.place(wait.location);
        let (row, a) = identity(data);
        let (what, value) = event::wait_on(wait.on);
        // One reading of the clock, and nothing between the two.
        let now = self.time.now();
        self.ring.push(now, Kind::Wait, a, row, operation);
        self.push_at(now, Kind::WaitOn, what, value, place);
    }

    fn keyframe_task(&mut self, task: &KeyframeTask<'_>) {
        let (row, a) = identity(task.task.data);
        let polls = u32::try_from(task.polls).unwrap_or(u32::MAX);
        let busy = self.row(task.task.data.row()).busy;
        let busy_us = self.time.to_ns(busy) / 1000;
        self.push(Kind::KeyframeTask, a, row, polls);
        let busy_us = u32::try_from(busy_us).unwrap_or(u32::MAX);
        self.push(Kind::KeyframeBusy, a, row, busy_us);
        if row != ROOT_ROW {
            let place = self.place_of(task.task);
            self.push(Kind::Spawn, a, row, place);
        }
        if let Some(name) = task.name {
            self.named(task.task.data, name);
        }
        if let Some(wait) = task.wait {
            self.wait(task.task.data, wait);
        }
    }
}

/// Names the file of a recording that could not be made.
fn explain(recording: &Recording, error: &io::Error) -> io::Error {
    let message = match &recording.path {
        Some(path) => format!(
            "the recording cannot be written to {}: {error}",
            path.display()
        ),
        None => format!("the recording cannot be mapped into memory: {error}"),
    };
    io::Error::new(error.kind(), message)
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("on", &self.on).finish()
    }
}
