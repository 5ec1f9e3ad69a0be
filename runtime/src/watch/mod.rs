//! The watch thread: says that a loop does not go on, while it does not.
//!
//! Started by [`Builder::build`](crate::runtime::Builder::build) if
//! [`Builder::watch`](crate::runtime::Builder::watch) was called; ended by the end of the runtime. A poll that never
//! returns answers no signal and makes no dump. So the loop publishes what it does ([`progress`]), and this thread
//! looks at it twice per limit:
//!
//! ```text
//!  the runtime's thread                      wakeful-watch
//!  Progress: step, task, place  <----------  each half of the limit: the same step, and not parked?
//!  Inbox: parked                             twice in a row: report a Stall, once
//!  Signals: received by the loop             a signal that was caught a second ago and not received: report it
//! ```
//!
//! A kernel that is [installed](crate::kernel) can ask for what a loop publishes without such a thread, as a simulation
//! does that waits for a host.
//!
//! Looks are counted. One that comes late does not count: a process that was stopped by SIGSTOP makes a look as soon as it
//! goes on, and its loop has time to do so until the next one.
//!
//! Rejected: a signal that makes the loop's thread describe itself. Its handler would interrupt code that changes the
//! table of tasks. Also rejected: reading that table from here, for the same reason.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::drops::drop_ignoring_panic;
use crate::id::{Id, RuntimeId};
use crate::inbox::Shared;
use crate::kernel;
use crate::sys;

pub(crate) mod harmless;
pub(crate) mod progress;
pub(crate) mod stall;

use harmless::{Harmless, InHook};
use progress::{LoopPhase, Progress, Step};
use stall::{LoopState, Now, Stall};

/// The time between two looks, at least and at most.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The time after which a signal that the loop has not received is answered here.
const ANSWER_AFTER: Duration = Duration::from_secs(1);

/// Hook that is called with each stall, on the watch thread.
pub(crate) type StallHook = Box<dyn Fn(&Stall) + Send>;

/// The watch of one runtime.
pub(crate) struct Watch {
    pub(crate) progress: Arc<Progress>,
    limit: Duration,
    /// Taken by the thread.
    hook: Cell<Option<StallHook>>,
    signals: Arc<Signals>,
    /// Dropped to end the thread.
    end: Cell<Option<mpsc::Sender<()>>>,
}

impl Watch {
    pub(crate) fn new(limit: Duration, hook: Option<StallHook>) -> Self {
        Watch {
            progress: Arc::default(),
            limit,
            hook: Cell::new(hook),
            signals: Arc::default(),
            end: Cell::new(None),
        }
    }

    /// Starts the thread. It watches the runtime whose thread calls this.
    ///
    /// # Errors
    ///
    /// `WouldBlock` at a limit of threads, or without memory.
    pub(crate) fn start(&self, shared: &Arc<Shared>) -> io::Result<()> {
        let mut watcher = Watcher {
            runtime: shared.id(),
            shared: Arc::downgrade(shared),
            thread: sys::inspect::current_thread(),
            progress: Arc::clone(&self.progress),
            signals: Arc::clone(&self.signals),
            harmless: None,
            hook: self.hook.take(),
            looks: Looks::new(schedule(self.limit)),
        };
        let (end, ended) = mpsc::channel();
        let (begin, begun) = mpsc::channel();
        let builder = thread::Builder::new().name("wakeful-watch".to_owned());
        let started = builder.spawn(move || {
            watcher.harmless = Some(Harmless::begin());
            begin.send(()).ok();
            watcher.run(&ended);
        });
        started.map_err(|error| {
            let text = format!("start the watch thread: {error}");
            io::Error::new(error.kind(), text)
        })?;
        // Before the runtime can look for a deadlock, in which an uncounted thread would be in doubt.
        begun.recv().ok();
        self.end.set(Some(end));
        Ok(())
    }

    /// Ends the thread, without waiting for it: its hook is user code.
    pub(crate) fn stop(&self) {
        drop(self.end.take());
    }

    /// Watches whether the loop receives a signal, as long as the result exists. It has the number of times that the
    /// signal was received.
    pub(crate) fn await_signal(&self, number: i32, received: u64) -> Arc<AtomicU64> {
        let received = Arc::new(AtomicU64::new(received));
        self.signals.lock().push(AwaitedSignal {
            number,
            received: Arc::downgrade(&received),
            answered: 0,
            looks: 0,
        });
        received
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Returns the time between two looks, and the number of these intervals in the limit.
fn schedule(limit: Duration) -> (Duration, u32) {
    let pause = (limit / 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
    (pause, intervals(limit, pause).max(2))
}

fn intervals(time: Duration, pause: Duration) -> u32 {
    let intervals = time.as_nanos().div_ceil(pause.as_nanos());
    u32::try_from(intervals).unwrap_or(u32::MAX - 1)
}

/// The signals that the loop is to receive.
#[derive(Debug, Default)]
struct Signals(Mutex<Vec<AwaitedSignal>>);

#[derive(Debug)]
struct AwaitedSignal {
    number: i32,
    /// How often the loop has received it. Gone with its listener.
    received: Weak<AtomicU64>,
    /// The count up to which the watch thread has answered.
    answered: u64,
    /// The number of looks that have found it caught and not received.
    looks: u32,
}

impl Signals {
    fn lock(&self) -> MutexGuard<'_, Vec<AwaitedSignal>> {
        // No user code runs under this lock, so a poisoned one is consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a look. Returns the signals that were not received in `intervals` intervals, each once. `caught`
    /// returns how often a signal was caught.
    fn look(&self, intervals: u32, caught: impl Fn(i32) -> u64) -> Vec<i32> {
        let mut unanswered = Vec::new();
        self.lock().retain_mut(|signal| {
            let Some(received) = signal.received.upgrade() else {
                return false;
            };
            let caught = caught(signal.number);
            if caught == received.load(Ordering::Relaxed) || caught == signal.answered {
                signal.looks = 0;
                return true;
            }
            signal.looks += 1;
            if signal.looks > intervals {
                (signal.answered, signal.looks) = (caught, 0);
                unanswered.push(signal.number);
            }
            true
        });
        unanswered
    }
}

/// What the looks have found so far.
#[derive(Debug)]
struct Looks {
    pause: Duration,
    /// The intervals without a change that are a stall.
    intervals: u32,
    /// The time of the last look.
    last: Instant,
    /// Whether it came late.
    was_late: bool,
    steps: u64,
    /// The number of intervals that have passed in this step, and their sum.
    unchanged: u32,
    lasted: Duration,
}

impl Looks {
    fn new((pause, intervals): (Duration, u32)) -> Self {
        Looks {
            pause,
            intervals,
            last: Instant::now(),
            was_late: false,
            steps: 0,
            unchanged: 0,
            lasted: Duration::ZERO,
        }
    }

    /// Returns the time since the last look. `None` if this look comes so late that the loop cannot have run meanwhile
    /// either. Of two late ones in a row the second counts: the machine is slow, and the process was not stopped.
    fn interval(&mut self, now: Instant) -> Option<Duration> {
        let interval = now.saturating_duration_since(self.last);
        self.last = now;
        self.was_late = interval > self.pause * 2 && !self.was_late;
        (!self.was_late).then_some(interval)
    }

    /// Makes a look. Returns whether this look reports a stall: one per stall does.
    fn look(&mut self, steps: u64, is_idle: bool, interval: Option<Duration>) -> bool {
        if steps != self.steps || is_idle {
            (self.steps, self.unchanged, self.lasted) = (steps, 0, Duration::ZERO);
            return false;
        }
        let Some(interval) = interval else {
            return false;
        };
        self.lasted += interval;
        self.unchanged = self.unchanged.saturating_add(1);
        self.unchanged == self.intervals
    }
}

/// The data of the watch thread.
struct Watcher {
    runtime: RuntimeId,
    /// Weak, so that the descriptors of the runtime are closed with it.
    shared: Weak<Shared>,
    /// The number of the runtime's thread.
    thread: Option<i32>,
    progress: Arc<Progress>,
    signals: Arc<Signals>,
    /// `None` while the hook is called or dropped.
    harmless: Option<Harmless>,
    hook: Option<StallHook>,
    looks: Looks,
}

impl Watcher {
    /// Looks until the runtime has ended.
    fn run(mut self, ended: &mpsc::Receiver<()>) {
        while ended.recv_timeout(self.looks.pause) == Err(RecvTimeoutError::Timeout) {
            let Some(shared) = self.shared.upgrade() else {
                break;
            };
            let is_parked = shared.inbox().is_parked();
            drop(shared);
            self.look(is_parked);
        }
        let _in_hook = InHook::begin();
        self.harmless = None;
        drop_ignoring_panic(self.hook.take());
    }

    fn look(&mut self, is_parked: bool) {
        let steps = self.progress.steps();
        let is_idle = is_parked || Progress::is_stopped(steps);
        let interval = self.looks.interval(Instant::now());
        if self.looks.look(steps, is_idle, interval) {
            // Before the step is read: what the hook does can be what the loop waits for, once it goes on.
            let in_hook = self.hook.is_some().then(InHook::begin);
            let harmless = self.harmless.take().filter(|_| in_hook.is_none());
            if let Some(step) = self.progress.read(steps) {
                self.report(&self.stall(step));
            }
            self.harmless = harmless.or_else(|| Some(Harmless::begin()));
            drop(in_hook);
        }
        if interval.is_none() {
            return;
        }
        let intervals = intervals(ANSWER_AFTER, self.looks.pause);
        for number in self.signals.look(intervals, sys::signal::caught) {
            self.answer(number);
        }
    }

    /// Returns the description of a step that lasts.
    fn stall(&self, step: Step) -> Stall {
        stall(self.runtime, self.thread, step, self.looks.lasted)
    }

    fn report(&self, stall: &Stall) {
        let Some(hook) = &self.hook else {
            write(format_args!("stuck: {stall}"));
            return;
        };
        // The panic itself is reported by the panic hook. The destructor of its payload can panic, too.
        drop_ignoring_panic(catch_unwind(AssertUnwindSafe(|| hook(stall))));
    }

    /// Says that the loop has not answered a signal, and why.
    fn answer(&self, number: i32) {
        let head = format!("no dump within {ANSWER_AFTER:?} of signal {number}");
        let runtime = self.runtime.serial();
        let step = (self.looks.unchanged > 0).then(|| self.progress.read(self.looks.steps));
        match step.flatten() {
            Some(step) => write(format_args!("{head}: {}", self.stall(step))),
            None if Progress::is_stopped(self.looks.steps) => {
                write(format_args!(
                    "{head}: no `block_on` of runtime {runtime} runs"
                ));
            }
            None => write(format_args!(
                "{head}: runtime {runtime} goes on, but the future of `dump::on_signal` is not polled"
            )),
        }
    }
}

fn stall(runtime: RuntimeId, thread: Option<i32>, step: Step, lasted: Duration) -> Stall {
    Stall {
        runtime: runtime.serial(),
        loop_state: match step.phase {
            LoopPhase::Stopped => LoopState::Stopped,
            LoopPhase::BetweenPolls => LoopState::BetweenPolls,
            LoopPhase::Root => LoopState::PollingRoot,
            LoopPhase::Task(key) => LoopState::Polling(Id { runtime, key }),
        },
        name: step.name,
        spawned_at: step.place,
        lasted,
        thread: thread.and_then(sys::thread_state::of),
        waiting: step.waiting as usize,
    }
}

/// Returns whether the kernel that is installed on this thread watches the runtime that is built.
pub(crate) fn is_by_kernel() -> bool {
    kernel::current().is_some_and(|kernel| kernel.watches())
}

/// Gives that kernel a function that returns what the loop of this thread's runtime does.
pub(crate) fn tell_kernel(runtime: RuntimeId, progress: Arc<Progress>) {
    let thread = sys::inspect::current_thread();
    let text = move || {
        let step = progress.read(progress.steps())?;
        let stall = stall(runtime, thread, step, Duration::ZERO);
        Some(Now(stall).to_string())
    };
    if let Some(kernel) = kernel::current() {
        kernel.built(kernel::Progress(Box::new(text)));
    }
}

/// Writes a report to stderr, and ignores a failure, because there is no other place for it.
fn write(report: fmt::Arguments<'_>) {
    writeln!(io::stderr(), "wakeful: {report}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(100);

    #[test]
    fn a_step_that_lasts_for_all_intervals_is_reported_once_and_the_next_one_again() {
        let mut looks = Looks::new((PAUSE, 2));
        let mut reports = |steps, is_idle, times| {
            let looks: Vec<_> = (0..times)
                .map(|_| looks.look(steps, is_idle, Some(PAUSE)))
                .collect();
            looks.iter().filter(|is_reported| **is_reported).count()
        };
        assert_eq!(reports(6, false, 2), 0);
        assert_eq!(reports(6, false, 1), 1);
        assert_eq!(reports(6, false, 100), 0);
        // One change in between.
        assert_eq!(reports(10, false, 2), 0);
        assert_eq!(reports(14, false, 2), 0);
        assert_eq!(reports(14, false, 1), 1);
        // Parked, and the same step after it.
        assert_eq!(reports(14, true, 100), 0);
        assert_eq!(reports(14, false, 1), 0);
        assert_eq!(reports(14, false, 1), 1);
    }

    #[test]
    fn time_in_which_the_process_was_stopped_does_not_count() {
        let mut looks = Looks::new((PAUSE, 2));
        let mut now = looks.last;
        let mut look_after = |time| {
            now += time;
            let interval = looks.interval(now);
            (looks.look(6, false, interval), looks.lasted)
        };
        let none = Duration::ZERO;
        assert_eq!(look_after(PAUSE), (false, none));
        assert_eq!(look_after(PAUSE), (false, PAUSE));
        // Stopped for an hour: the look comes as soon as the process goes on.
        assert_eq!(look_after(PAUSE * 36_000), (false, PAUSE));
        assert_eq!(look_after(PAUSE), (true, PAUSE * 2));
    }

    #[test]
    fn every_other_look_of_a_slow_machine_counts() {
        let mut looks = Looks::new((PAUSE, 2));
        let mut now = looks.last;
        let mut counts = || {
            now += PAUSE * 3;
            looks.interval(now).is_some()
        };
        let counts: Vec<_> = (0..4).map(|_| counts()).collect();
        assert_eq!(counts, [false, true, false, true]);
    }

    #[test]
    fn the_limit_is_divided_into_two_intervals_or_more_short_ones() {
        let ms = Duration::from_millis;
        assert_eq!(schedule(ms(200)), (ms(100), 2));
        assert_eq!(schedule(ms(1000)), (ms(500), 2));
        assert_eq!(schedule(ms(10_001)), (ms(500), 21));
        assert_eq!(schedule(Duration::ZERO), (ms(1), 2));
        assert_eq!(schedule(Duration::MAX), (ms(500), u32::MAX - 1));
    }

    #[test]
    fn a_signal_that_is_not_received_is_answered_once() {
        let watch = Watch::new(Duration::from_secs(1), None);
        let received = watch.await_signal(7, 3);
        let caught = Cell::new(3);
        let look = || {
            watch
                .signals
                .look(2, |number| if number == 7 { caught.get() } else { 0 })
        };
        assert!((0..10).all(|_| look().is_empty()));
        // It comes again at each look, and is answered all the same.
        caught.set(4);
        assert!(look().is_empty());
        caught.set(5);
        assert!(look().is_empty());
        caught.set(6);
        assert_eq!(look(), [7]);
        assert!((0..10).all(|_| look().is_empty()));
        // Received in time.
        caught.set(7);
        assert!(look().is_empty() && look().is_empty());
        received.store(7, Ordering::Relaxed);
        assert!((0..10).all(|_| look().is_empty()));
        caught.set(8);
        assert!(look().is_empty() && look().is_empty());
        assert_eq!(look(), [7]);
        drop(received);
        caught.set(9);
        assert!((0..10).all(|_| look().is_empty()));
        assert!(watch.signals.lock().is_empty());
    }
}
