//! The timer future: everything else in `time` is made of it.
//!
//! Calls the runtime's timers. A `Sleep` is data (a deadline, and a key once it is armed), so it may
//! be dropped on any thread; armed it belongs to the runtime that polled it.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::Instant;
use super::timers::Armed;
use crate::current::{self, Core};
use crate::remote::Message;
use crate::slab::Key;
use crate::task::id::RuntimeId;
use crate::task::record::Wait;
use crate::waker::clone_own;

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
pub fn sleep(duration: Duration) -> Sleep {
    let location = Location::caller();
    Sleep::new(deadline_in(duration, "time::sleep"), "sleep", location)
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
    if current::with(|_| ()).is_none() {
        current::expect("time::sleep_until");
    }
    Sleep::new(deadline, "sleep_until", Location::caller())
}

/// The instant `duration` from now on the clock of this thread's runtime.
#[track_caller]
pub(super) fn deadline_in(duration: Duration, operation: &str) -> Instant {
    match current::with(|core| core.timers.clock.now()) {
        Some(now) => Instant::from_std(now).saturating_add(duration),
        None => {
            current::expect(operation);
            unreachable!("`expect` has panicked")
        }
    }
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// # Panics
///
/// Polling panics on a thread without a runtime, and, once armed, on one that is running another
/// runtime than that which armed it.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: Instant,
    /// The timer, from the first poll that had to wait until it fires.
    armed: Option<(RuntimeId, Key)>,
    /// Once [`Timers::expired_ns`](super::timers::Timers::expired_ns) has come this far, the armed
    /// timer has fired for sure.
    fired_at_ns: u64,
    operation: &'static str,
    location: &'static Location<'static>,
}

impl Sleep {
    #[inline]
    pub(super) fn new(
        deadline: Instant,
        operation: &'static str,
        location: &'static Location<'static>,
    ) -> Self {
        Sleep {
            deadline,
            armed: None,
            fired_at_ns: 0,
            operation,
            location,
        }
    }

    /// Names the operation in the record of the task that waits, for futures that pause in the course
    /// of something else: `"UnixStream::connect"`.
    pub fn during(mut self, operation: &'static str) -> Self {
        self.operation = operation;
        self
    }

    /// Gives another place in the source for that record: where the user called.
    pub fn at(mut self, location: &'static Location<'static>) -> Self {
        self.location = location;
        self
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
        let disarmed = current::with(|core| core.owns(runtime).then(|| core.timers.disarm(key)));
        match disarmed.flatten() {
            // Foreign code, and so outside of every borrow (I3).
            Some(waker) => drop(waker),
            None => current::send(runtime, Message::RemoveTimer(key)),
        }
    }

    /// Arms the timer, or hands it the waker of the task it has moved to.
    #[cold]
    fn wait(&mut self, core: &Core, waker: Waker) {
        match self.armed {
            Some((_, key)) => drop(core.timers.rearm(key, waker)),
            None => {
                let deadline_ns = core.timers.clock.ns_of(self.deadline.into_std());
                self.arm(core, deadline_ns, waker);
            }
        }
    }

    #[inline]
    fn arm(&mut self, core: &Core, deadline_ns: u64, waker: Waker) {
        let key = core.timers.arm(deadline_ns, waker);
        // One that is due when it is armed (for want of budget) fires in the next turn: for that one,
        // the wheel has to be asked.
        let late = deadline_ns <= core.timers.expired_ns();
        self.fired_at_ns = if late { u64::MAX } else { deadline_ns };
        self.armed = key.map(|key| (core.id, key));
    }

    #[inline]
    fn look(&mut self, core: &Core, cx: &Context<'_>) -> Looked {
        let looked = match self.armed {
            Some((runtime, _)) if !core.owns(runtime) => return Looked::Elsewhere(runtime),
            // Without a look into the wheel, which is far away in memory by then.
            Some(_) if core.timers.expired_ns() >= self.fired_at_ns => return Looked::Fired,
            Some((_, key)) => match core.timers.poll(key, cx.waker()) {
                // It has been through a turn, so it costs nothing of the budget: a deadline beside
                // a future that uses up every poll's budget has to be heard.
                Armed::Fired => return Looked::Fired,
                Armed::Waiting => Looked::Waiting,
                Armed::Replace => Looked::Arm,
            },
            None => {
                let deadline_ns = core.timers.clock.ns_of(self.deadline.into_std());
                // The loop's time is never ahead of the clock, so this is never early; and what has
                // become due since the last turn fires in the next. So does what has no budget.
                if core.timers.loop_now_ns() >= deadline_ns && core.executor.charge() {
                    return Looked::Fired;
                }
                // Nearly always a waker of ours, whose clone runs nothing foreign.
                match clone_own(cx.waker()) {
                    Some(waker) => {
                        self.arm(core, deadline_ns, waker);
                        Looked::Waiting
                    }
                    None => Looked::Arm,
                }
            }
        };
        core.executor.note_wait(|| Wait {
            operation: self.operation,
            location: self.location,
            since_ns: core.timers.loop_now_ns(),
            fd: -1,
        });
        looked
    }
}

/// What the quick look, in which nothing foreign runs, has found.
enum Looked {
    Fired,
    Waiting,
    /// Arm it, or replace its waker.
    Arm,
    Elsewhere(RuntimeId),
}

impl Future for Sleep {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match current::with(|core| self.look(core, cx)) {
            Some(Looked::Fired) => {
                self.armed = None;
                return Poll::Ready(());
            }
            Some(Looked::Waiting) => {}
            Some(Looked::Arm) => {
                let waker = cx.waker().clone();
                let core = current::expect("Sleep::poll");
                self.wait(&core, waker);
            }
            Some(Looked::Elsewhere(runtime)) => {
                current::explain_absence(runtime, self.operation, self.location);
                panic!(
                    "{} at {}: the runtime that armed this timer has ended",
                    self.operation, self.location
                );
            }
            None => {
                current::expect("Sleep::poll");
            }
        }
        Poll::Pending
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
