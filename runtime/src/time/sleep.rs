//! The timer future, on which timeouts and intervals are built.
//!
//! Calls the runtime's timers. A `Sleep` contains a deadline, and a timer's key while it is armed. So it
//! can be dropped on any thread. Once armed, it belongs to the runtime that polled it.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::Instant;
use crate::context::{self, Core};
use crate::hooks;
use crate::id::RuntimeId;
use crate::inbox::Message;
use crate::table::Key;
use crate::task_info::{WaitInfo, WaitOn};
use crate::timer::PollTimer;

/// Waits for the given time. [`Duration::MAX`] waits forever.
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

/// Waits until the given instant. If it has passed, the future is ready in its first poll, or after
/// the next turn if it has passed since the last one.
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
    if context::with_current(|_| ()).is_none() {
        context::require("time::sleep_until");
    }
    Sleep::new(deadline, Kind::SleepUntil, Location::caller())
}

/// Returns the instant `duration` from now, on the clock of this thread's runtime.
#[track_caller]
#[inline]
pub(super) fn deadline_in(duration: Duration, operation: &str) -> Instant {
    match context::with_current(|core| core.timers.clock.now()) {
        Some(now) => Instant::from_std(now).saturating_add(duration),
        None => no_runtime(operation),
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn no_runtime(operation: &str) -> ! {
    context::require(operation);
    unreachable!("`require` has panicked")
}

/// The function that made a [`Sleep`].
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Sleep,
    SleepUntil,
    Timeout,
    TimeoutAt,
    Tick,
}

impl Kind {
    /// Returns the name of the operation for the task's info.
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
/// Polling panics on a thread without a runtime. Once the timer is armed, polling also panics on a thread
/// that is running another runtime, and when the timer's runtime is ending.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: Instant,
    /// The armed timer: from the first poll that had to wait until the timer fires.
    armed: Option<(RuntimeId, Key)>,
    /// Whether the deadline had passed when the timer was armed, because the budget was used up. Then
    /// it fires after the next turn.
    due_when_armed: bool,
    /// The function that made it. One byte, because reading a name of two words right after it was
    /// written is slow (docs/TRIED.md, timers).
    kind: Kind,
    /// The name of the operation, if it is not that of `kind`.
    named: Option<&'static str>,
    location: &'static Location<'static>,
}

impl Sleep {
    #[inline]
    pub(super) fn new(deadline: Instant, kind: Kind, location: &'static Location<'static>) -> Self {
        Sleep {
            deadline,
            armed: None,
            due_when_armed: false,
            kind,
            named: None,
            location,
        }
    }

    /// Sets the operation in the info of the task that waits, for futures that sleep as a part of another
    /// operation: `"UnixStream::connect"`.
    pub fn operation(mut self, operation: &'static str) -> Self {
        self.named = Some(operation);
        self
    }

    /// Sets the source location in the info of the task that waits: that of the user's call.
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

    /// Sets the source location of the wait that begins now.
    pub(super) fn set_location(&mut self, location: &'static Location<'static>) {
        self.location = location;
    }

    /// Returns the deadline.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns whether the deadline has passed.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        self.deadline <= Instant::now()
    }

    /// Moves the deadline, forward or back. A sleep that was ready waits again.
    ///
    /// A task that waits for the sleep now waits for the new deadline. If that has passed, the task is
    /// woken at once. A sleep that no task waits for is armed when it is polled. Works on any thread.
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
        self.deadline = deadline;
        let Some((runtime, key)) = self.armed.take() else {
            return;
        };
        let moved = context::with_current(|core| {
            let owns = core.owns(runtime);
            owns.then(|| self.move_timer(core, key))
        });
        match moved.flatten() {
            Some(Some(waker)) => waker.wake(),
            Some(None) => {}
            None => context::send(runtime, Message::WakeTimer(key)),
        }
    }

    /// Moves the armed timer to the present deadline. Returns its waker, to be woken, if that has
    /// passed. Runs no user code.
    fn move_timer(&mut self, core: &Core, key: Key) -> Option<Waker> {
        let deadline = self.deadline.into_std();
        if core.timers.loop_now() >= deadline {
            return core.timers.remove(key);
        }
        self.due_when_armed = false;
        let moved = core.timers.reset(key, deadline);
        self.armed = moved.map(|key| (core.id, key));
        if let Some(key) = moved.filter(|_| hooks::any()) {
            core.record_timer_armed(key, deadline);
        }
        None
    }

    /// Cancels the timer, on any thread.
    #[inline]
    fn remove_timer(&mut self) {
        let Some((runtime, key)) = self.armed.take() else {
            return;
        };
        let remove = |core: &Core| core.owns(runtime).then(|| core.timers.remove(key));
        match context::with_current(remove).flatten() {
            Some(Some(waker)) => context::drop_waker(waker),
            // The timer has fired.
            Some(None) => {}
            None => context::send(runtime, Message::RemoveTimer(key)),
        }
    }

    /// Polls the timer of this sleep, or arms it. Runs no user code.
    #[inline]
    fn poll_timer(&mut self, core: &Core, cx: &Context<'_>) -> PollSleep {
        let deadline = self.deadline.into_std();
        let polled = match self.armed {
            Some((runtime, _)) if !core.owns(runtime) => return PollSleep::OtherRuntime(runtime),
            // Decided without the timer's row, which is not in the cache then.
            Some(_) if core.timers.expired_until() >= deadline && !self.due_when_armed => {
                return PollSleep::Fired;
            }
            Some((_, key)) => match core.timers.poll(key, cx.waker()) {
                // Not charged, because a turn has passed. Otherwise a timeout of a future that uses up
                // the budget of every poll would never fire.
                PollTimer::Fired => return PollSleep::Fired,
                PollTimer::Pending => PollSleep::Pending,
                PollTimer::OtherWaker => PollSleep::StoreWaker,
                PollTimer::Gone if !self.due_when_armed => return PollSleep::Gone,
                PollTimer::Gone => return PollSleep::Fired,
            },
            None => {
                // The loop's time is never ahead of the clock, so this is never early. A deadline that
                // passed since the last turn fires after the next one. So does a deadline without
                // budget: then only the timer shows whether it has fired.
                self.due_when_armed = core.timers.loop_now() >= deadline;
                if self.due_when_armed && core.executor.try_consume() {
                    return PollSleep::Fired;
                }
                let local = context::clone_local(cx.waker());
                match local.and_then(|waker| core.timers.insert(deadline, waker)) {
                    Some(key) => {
                        self.armed = Some((core.id, key));
                        if hooks::any() {
                            core.record_timer_armed(key, deadline);
                        }
                        PollSleep::Pending
                    }
                    None => PollSleep::StoreWaker,
                }
            }
        };
        self.set_wait(core);
        polled
    }

    /// Records in the running task's info that it waits for this timer.
    #[inline]
    fn set_wait(&self, core: &Core) {
        core.executor.set_wait(|| WaitInfo {
            operation: self.operation_name(),
            location: self.location,
            since_ns: core.timers.loop_now_ns(),
            on: self
                .armed
                .map_or(WaitOn::TIMER, |(_, key)| WaitOn::timer(key)),
        });
    }

    /// Arms the timer with an external waker, or replaces the waker of an armed one.
    #[cold]
    #[inline(never)]
    fn arm(&mut self, cx: &Context<'_>) -> Poll<()> {
        let waker = context::clone_local(cx.waker()).unwrap_or_else(|| cx.waker().clone());
        let core = context::require("Sleep::poll");
        match self.armed {
            // The clone was user code, which can have entered another runtime.
            Some((runtime, _)) if !core.owns(runtime) => self.panic_if_wrong_runtime(runtime),
            Some((_, key)) => {
                let replaced = core.timers.update_waker(key, waker);
                // The clone is user code. Outside of `block_on` it can run the loop.
                let fired = core.timers.poll(key, cx.waker()) == PollTimer::Fired;
                drop(replaced);
                if fired {
                    cx.waker().wake_by_ref();
                }
            }
            None => {
                let Some(key) = core.timers.insert(self.deadline.into_std(), waker) else {
                    self.panic_runtime_ended();
                };
                self.armed = Some((core.id, key));
                if hooks::any() {
                    core.record_timer_armed(key, self.deadline.into_std());
                }
                // Again, because only now the timer is known.
                self.set_wait(&core);
            }
        }
        Poll::Pending
    }

    #[cold]
    #[inline(never)]
    fn panic_if_wrong_runtime(&self, runtime: RuntimeId) -> ! {
        context::panic_if_wrong_thread(runtime, self.operation_name(), self.location);
        self.panic_runtime_ended();
    }

    #[cold]
    #[inline(never)]
    fn panic_runtime_ended(&self) -> ! {
        panic!(
            "{} at {}: the runtime that armed this timer has ended",
            self.operation_name(),
            self.location
        );
    }
}

/// The result of [`Sleep::poll_timer`].
enum PollSleep {
    Fired,
    Pending,
    /// The waker is external or differs from the stored one: see [`Sleep::arm`].
    StoreWaker,
    /// The timer belongs to a runtime that is not the one on this thread.
    OtherRuntime(RuntimeId),
    /// The timer belongs to this runtime, which is ending.
    Gone,
}

impl Future for Sleep {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match context::with_current(|core| self.poll_timer(core, cx)) {
            Some(PollSleep::Pending) => Poll::Pending,
            Some(PollSleep::Fired) => {
                self.armed = None;
                Poll::Ready(())
            }
            Some(PollSleep::StoreWaker) => self.arm(cx),
            Some(PollSleep::OtherRuntime(runtime)) => self.panic_if_wrong_runtime(runtime),
            Some(PollSleep::Gone) => self.panic_runtime_ended(),
            None => {
                context::require("Sleep::poll");
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    #[inline]
    fn drop(&mut self) {
        self.remove_timer();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
