//! The timer future: everything else in `time` is made of it.
//!
//! Calls the runtime's timers. A `Sleep` is data (a deadline, and a key once it is armed), so it may
//! be dropped on any thread; armed it belongs to the runtime that polled it.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Instant;
use crate::context::{self, Core};
use crate::id::RuntimeId;
use crate::inbox::Message;
use crate::table::Key;
use crate::task_info::WaitInfo;
use crate::timer::Armed;

/// Waits for the given time. [`Duration::MAX`] waits for ever.
///
/// The deadline is counted from the call, not from the first poll.
///
/// # Panics
///
/// When there is no runtime on this thread.
///
/// # Cancel safety
///
/// Safe: dropping it cancels the timer.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// wakeful::block_on(async {
///     wakeful::time::sleep(Duration::from_millis(1)).await;
/// });
/// ```
#[track_caller]
#[inline]
pub fn sleep(duration: Duration) -> Sleep {
    let location = Location::caller();
    Sleep::new(deadline_in(duration, "time::sleep"), Kind::Sleep, location)
}

/// Waits until the given instant; one that has passed is ready at once.
///
/// # Panics
///
/// When there is no runtime on this thread.
///
/// # Cancel safety
///
/// Safe: dropping it cancels the timer.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use wakeful::time::{Instant, sleep_until};
///
/// wakeful::block_on(async {
///     let deadline = Instant::now() + Duration::from_millis(1);
///     sleep_until(deadline).await;
///     assert!(Instant::now() >= deadline);
/// });
/// ```
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    if context::with(|_| ()).is_none() {
        context::expect("time::sleep_until");
    }
    Sleep::new(deadline, Kind::SleepUntil, Location::caller())
}

/// The instant `duration` from now on the clock of this thread's runtime.
#[track_caller]
#[inline]
pub(super) fn deadline_in(duration: Duration, operation: &str) -> Instant {
    match context::with(|core| core.timers.clock.now()) {
        Some(now) => Instant::from_std(now).saturating_add(duration),
        None => no_runtime(operation),
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn no_runtime(operation: &str) -> ! {
    context::expect(operation);
    unreachable!("`expect` has panicked")
}

/// Which function of this module made a [`Sleep`].
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Sleep,
    SleepUntil,
    Timeout,
    TimeoutAt,
    Tick,
}

impl Kind {
    /// What a task's record says.
    #[inline]
    fn operation(self) -> &'static str {
        match self {
            Kind::Sleep => "sleep",
            Kind::SleepUntil => "sleep_until",
            Kind::Timeout => "timeout",
            Kind::TimeoutAt => "timeout_at",
            Kind::Tick => "Interval::tick",
        }
    }
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// # Panics
///
/// Polling panics on a thread without a runtime, and, once armed, on one that is running another
/// runtime than that which armed it, or when that one is ending.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: Instant,
    /// The timer, from the first poll that had to wait until it fires.
    armed: Option<(RuntimeId, Key)>,
    /// It was due already when it was armed (for want of budget), and fires in the next turn.
    late: bool,
    /// What the wait is called in the record of the task: mostly as its kind, which is one byte. A
    /// text is copied in one load of 16 bytes, and one that was stored as two words a moment ago has
    /// to wait for both stores to reach the cache.
    kind: Kind,
    named: Option<&'static str>,
    location: &'static Location<'static>,
}

impl Sleep {
    #[inline]
    pub(super) fn new(deadline: Instant, kind: Kind, location: &'static Location<'static>) -> Self {
        Sleep {
            deadline,
            armed: None,
            late: false,
            kind,
            named: None,
            location,
        }
    }

    /// Names the operation in the record of the task that waits, for futures that pause in the course
    /// of something else: `"UnixStream::connect"`.
    pub fn operation(mut self, operation: &'static str) -> Self {
        self.named = Some(operation);
        self
    }

    /// Gives another place in the source for that record: where the user called.
    pub fn location(mut self, location: &'static Location<'static>) -> Self {
        self.location = location;
        self
    }

    #[inline]
    fn operation_name(&self) -> &'static str {
        match self.named {
            Some(named) => named,
            None => self.kind.operation(),
        }
    }

    /// Says where the wait that begins now was asked for.
    pub(super) fn relocate(&mut self, location: &'static Location<'static>) {
        self.location = location;
    }

    /// When it is ready.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Says whether the deadline has passed.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        self.deadline <= Instant::now()
    }

    /// Moves the deadline, forward or back; a sleep that was ready waits again.
    ///
    /// The task is not woken by this: poll the sleep again for the new deadline to count.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::pin::pin;
    /// use std::time::Duration;
    /// use wakeful::time::{Instant, sleep};
    ///
    /// let runtime = wakeful::runtime::Builder::new().start_paused(true).build().unwrap();
    /// runtime.block_on(async {
    ///     let start = Instant::now();
    ///     let mut idle = pin!(sleep(Duration::from_secs(10)));
    ///     sleep(Duration::from_secs(7)).await; // something happens
    ///     idle.as_mut().reset(Instant::now() + Duration::from_secs(10));
    ///     idle.await;
    ///     assert_eq!(start.elapsed(), Duration::from_secs(17));
    /// });
    /// ```
    pub fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.disarm();
        self.deadline = deadline;
    }

    /// Cancels the timer, from whatever thread.
    #[inline]
    fn disarm(&mut self) {
        let Some((runtime, key)) = self.armed.take() else {
            return;
        };
        let quickly = |core: &Core| core.owns(runtime).then(|| core.timers.disarm_quickly(key));
        match context::with(quickly).flatten().flatten() {
            Some(waker) => context::drop_waker(waker),
            None => disarm(runtime, key),
        }
    }

    /// Arms the timer, or hands it the waker of the task it has moved to. Last in the poll, and for
    /// what is not quickly done.
    #[cold]
    #[inline(never)]
    fn wait(&mut self, cx: &Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let core = context::expect("Sleep::poll");
        match self.armed {
            Some((_, key)) => {
                let left_over = core.timers.rearm(key, waker);
                // The clone is foreign code; outside of `block_on` it may let the loop run.
                let fired = core.timers.poll(key, cx.waker()) == Armed::Fired;
                drop(left_over);
                if fired {
                    cx.waker().wake_by_ref();
                }
            }
            None => {
                let key = core.timers.arm(self.deadline.into_std(), waker);
                self.armed = key.map(|key| (core.id, key));
            }
        }
        Poll::Pending
    }

    #[cold]
    #[inline(never)]
    fn explain(&self, runtime: RuntimeId) -> ! {
        context::explain_absence(runtime, self.operation_name(), self.location);
        self.say_that_it_is_gone();
    }

    #[cold]
    #[inline(never)]
    fn say_that_it_is_gone(&self) -> ! {
        panic!(
            "{} at {}: the runtime that armed this timer has ended",
            self.operation_name(),
            self.location
        );
    }

    #[inline]
    fn look(&mut self, core: &Core, cx: &Context<'_>) -> Looked {
        let deadline = self.deadline.into_std();
        let looked = match self.armed {
            Some((runtime, _)) if !core.owns(runtime) => return Looked::Elsewhere(runtime),
            // Without a look at the timer, which is far away in memory by then.
            Some(_) if core.timers.expired_to() >= deadline && !self.late => return Looked::Fired,
            Some((_, key)) => match core.timers.poll(key, cx.waker()) {
                // It has been through a turn, so it costs nothing of the budget: a deadline beside
                // a future that uses up every poll's budget has to be heard.
                Armed::Fired => return Looked::Fired,
                Armed::Waiting => Looked::Waiting,
                Armed::Replace => Looked::Arm,
                Armed::Gone if !self.late => return Looked::Gone,
                Armed::Gone => return Looked::Fired,
            },
            None => {
                // The loop's time is never ahead of the clock, so this is never early; and what has
                // become due since the last turn fires in the next. So does what has no budget: for
                // that one, the timer has to be asked.
                self.late = core.timers.loop_now() >= deadline;
                if self.late && core.executor.charge() {
                    return Looked::Fired;
                }
                // Nearly always a waker of ours, whose clone runs nothing foreign.
                let key = context::clone_local(cx.waker())
                    .and_then(|waker| core.timers.arm_quickly(deadline, waker));
                match key {
                    Some(key) => {
                        self.armed = Some((core.id, key));
                        Looked::Waiting
                    }
                    None => Looked::Arm,
                }
            }
        };
        core.executor.set_wait(|| WaitInfo {
            operation: self.operation_name(),
            location: self.location,
            since_ns: core.timers.loop_now_ns(),
            fd: -1,
        });
        looked
    }
}

/// Cancels a timer that lives somewhere else, or has been armed for long, or has fired.
#[inline(never)]
fn disarm(runtime: RuntimeId, key: Key) {
    let here = |core: &Core| core.owns(runtime).then(|| core.timers.disarm(key));
    match context::with(here).flatten() {
        // Foreign code, and so outside of every borrow (I3).
        Some(waker) => drop(waker),
        None => context::send(runtime, Message::RemoveTimer(key)),
    }
}

/// What the quick look, in which nothing foreign runs, has found.
enum Looked {
    Fired,
    Waiting,
    /// Arm it, or replace its waker.
    Arm,
    Elsewhere(RuntimeId),
    /// It was armed by this runtime, which is ending.
    Gone,
}

impl Future for Sleep {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match context::with(|core| self.look(core, cx)) {
            Some(Looked::Waiting) => Poll::Pending,
            Some(Looked::Fired) => {
                self.armed = None;
                Poll::Ready(())
            }
            Some(Looked::Arm) => self.wait(cx),
            Some(Looked::Elsewhere(runtime)) => self.explain(runtime),
            Some(Looked::Gone) => self.say_that_it_is_gone(),
            None => {
                context::expect("Sleep::poll");
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    #[inline]
    fn drop(&mut self) {
        self.disarm();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
