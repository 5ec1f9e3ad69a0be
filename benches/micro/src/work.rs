//! The works. Each runs inside a task, does its thing `n` times, and says how long that took and
//! how many operations it really was.
//!
//! Everything that is not the thing itself (spawning those who yield, arming the timers that are to
//! fire) happens outside the time that is taken.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::Pin;
use std::rc::Rc;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::Rival;
use crate::shared::{Ball, Latch, Numbers, wake_self};

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Each task spawns the next one and finishes, with so many others waiting beside.
    Chain(u64),
    /// A thousand tasks are spawned, and then they all finish; again and again.
    Bulk,
    /// Spawns a task and awaits it; again and again.
    Await,
    /// So many tasks wake themselves through their wakers and let the others run, again and again.
    Yield(u64),
    /// One task calls the runtime's own `yield_now`, again and again; it may look for events first.
    YieldNow,
    /// Two tasks pass a ball there and back.
    PingPong,
    /// Another thread is asked to wake this task, and does.
    Thread,
    /// A timer is armed and dropped, with so many others armed beside.
    Arm(u64),
    /// So many timers, each with a task that waits for it, fire.
    Fire(u64),
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Work::Chain(beside) => write!(f, "chain:{beside}"),
            Work::Bulk => f.write_str("bulk"),
            Work::Await => f.write_str("await"),
            Work::Yield(tasks) => write!(f, "yield:{tasks}"),
            Work::YieldNow => f.write_str("yield-now"),
            Work::PingPong => f.write_str("ping-pong"),
            Work::Thread => f.write_str("thread"),
            Work::Arm(beside) => write!(f, "arm:{beside}"),
            Work::Fire(timers) => write!(f, "fire:{timers}"),
        }
    }
}

impl FromStr for Work {
    type Err = String;

    fn from_str(text: &str) -> Result<Work, String> {
        let (name, number) = text.split_once(':').unwrap_or((text, "0"));
        let number: u64 = number
            .parse()
            .map_err(|_| format!("'{number}': no number"))?;
        match (name, number) {
            ("chain", beside) => Ok(Work::Chain(beside)),
            ("bulk", 0) => Ok(Work::Bulk),
            ("await", 0) => Ok(Work::Await),
            ("yield", tasks @ 1..) => Ok(Work::Yield(tasks)),
            ("yield-now", 0) => Ok(Work::YieldNow),
            ("ping-pong", 0) => Ok(Work::PingPong),
            ("thread", 0) => Ok(Work::Thread),
            ("arm", beside) => Ok(Work::Arm(beside)),
            ("fire", timers @ 1..) => Ok(Work::Fire(timers)),
            _ => Err(format!("there is no work '{text}'")),
        }
    }
}

/// How much was done in how much time.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// Operations.
    pub count: u64,
    /// For all of them.
    pub time: Duration,
}

impl Work {
    /// Does the work about `n` times on a fresh runtime, after a tenth as much for warming up.
    ///
    /// `helper` is the core for the other thread, if there is another thread.
    #[must_use]
    pub fn run<R: Rival>(self, n: u64, helper: Option<usize>) -> Done {
        R::run(async move |rt: R| {
            let warm = n / 10 + 1;
            match self {
                Work::Chain(beside) => {
                    let others = Waiters::with_room_for(beside);
                    spawn_waiting(&rt, &others, beside).await;
                    chain(&rt, warm).await;
                    timed(n, chain(&rt, n)).await
                }
                Work::Bulk => {
                    let times = (n / BULK).max(1);
                    bulk(&rt, warm / BULK + 1).await;
                    timed(times * BULK, bulk(&rt, times)).await
                }
                Work::Await => {
                    spawn_await(&rt, warm).await;
                    timed(n, spawn_await(&rt, n)).await
                }
                Work::Yield(1) => {
                    wake_itself(warm).await;
                    timed(n, wake_itself(n)).await
                }
                Work::Yield(tasks) => yield_among(&rt, tasks, (n / tasks).max(4)).await,
                Work::YieldNow => {
                    yield_now(&rt, warm).await;
                    timed(n, yield_now(&rt, n)).await
                }
                Work::PingPong => {
                    ping_pong(&rt, warm).await;
                    timed(n, ping_pong(&rt, n)).await
                }
                Work::Thread => {
                    let waking = Waking::start(helper);
                    waking.ask(warm).await;
                    let done = timed(n, waking.ask(n)).await;
                    waking.stop();
                    done
                }
                Work::Arm(beside) => {
                    arm_an_early_one(&rt).await;
                    // Others, due in one to eleven minutes: they end with the runtime.
                    let (soon, late) = (Duration::from_secs(60), Duration::from_secs(600));
                    let end = Latch::new(beside);
                    spawn_sleepers(&rt, beside, Instant::now() + soon, late, &end).await;
                    arm_and_drop(&rt, warm).await;
                    timed(n, arm_and_drop(&rt, n)).await
                }
                Work::Fire(timers) => fire(&rt, timers, n).await,
            }
        })
    }
}

async fn timed(count: u64, work: impl Future<Output = ()>) -> Done {
    let start = Instant::now();
    work.await;
    let time = start.elapsed();
    Done { count, time }
}

/// How many tasks are spawned before the first of them may run.
const BULK: u64 = 1000;

/// A task that spawns its successor and finishes: so the queue never holds more than one.
///
/// Some runtimes poll a task inside `spawn`; so that their stacks do not grow for ever, one link in
/// [`REST`] waits for its turn first.
struct Link<R> {
    rt: R,
    left: u64,
    rested: bool,
    end: Latch,
}

const REST: u64 = 256;

impl<R> Unpin for Link<R> {}

impl<R: Rival> Future for Link<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.left.is_multiple_of(REST) && !self.rested {
            self.rested = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.left {
            0 => self.end.count_down(),
            left => R::detach(self.rt.spawn(Link {
                rt: self.rt.clone(),
                left: left - 1,
                rested: false,
                end: self.end.clone(),
            })),
        }
        Poll::Ready(())
    }
}

async fn chain<R: Rival>(rt: &R, n: u64) {
    let (rt, end) = (rt.clone(), Latch::new(1));
    let first = Link {
        rt: rt.clone(),
        left: n - 1,
        rested: false,
        end: end.clone(),
    };
    R::detach(rt.spawn(first));
    end.wait().await;
}

async fn bulk<R: Rival>(rt: &R, times: u64) {
    for _ in 0..times {
        let end = Latch::new(BULK);
        for number in 0..BULK {
            let end = end.clone();
            R::detach(rt.spawn(async move {
                black_box(number);
                end.count_down();
            }));
        }
        end.wait().await;
    }
}

pub(crate) async fn spawn_await<R: Rival>(rt: &R, n: u64) {
    for number in 0..n {
        let answer = R::join(rt.spawn(async move { black_box(number) })).await;
        assert_eq!(answer, number);
    }
}

async fn yield_now<R: Rival>(rt: &R, n: u64) {
    for _ in 0..n {
        rt.yield_now().await;
    }
}

pub(crate) async fn wake_itself(n: u64) {
    for _ in 0..n {
        wake_self().await;
    }
}

/// What those who yield together have in common.
#[derive(Default)]
struct Yielders {
    /// Yields so far, of all together.
    yields: Cell<u64>,
    /// When the first of them had yielded once, and how many yields there had been by then.
    start: Cell<Option<(Instant, u64)>>,
    done: Cell<Option<Done>>,
}

/// The time runs from the first task's second poll, when all have run once, to its end.
async fn yield_among<R: Rival>(rt: &R, tasks: u64, times: u64) -> Done {
    let yielders = Rc::new(Yielders::default());
    let end = Latch::new(tasks);
    for number in 0..tasks {
        let (yielders, end) = (Rc::clone(&yielders), end.clone());
        R::detach(rt.spawn(async move {
            for time in 0..times {
                wake_self().await;
                yielders.yields.set(yielders.yields.get() + 1);
                if number == 0 && time == 0 {
                    let begun = (Instant::now(), yielders.yields.get());
                    yielders.start.set(Some(begun));
                }
            }
            if let (0, Some((start, before))) = (number, yielders.start.get()) {
                let (time, count) = (start.elapsed(), yielders.yields.get() - before);
                yielders.done.set(Some(Done { count, time }));
            }
            end.count_down();
        }));
    }
    end.wait().await;
    yielders
        .done
        .get()
        .expect("the first task has come to its end")
}

async fn ping_pong<R: Rival>(rt: &R, n: u64) {
    let ball = Rc::new(Ball::default());
    let end = Latch::new(2);
    for side in [0, 1] {
        let (ball, end) = (Rc::clone(&ball), end.clone());
        R::detach(rt.spawn(async move {
            for _ in 0..n {
                ball.pass(side).await;
            }
            end.count_down();
        }));
    }
    end.wait().await;
}

/// Another thread, which wakes whoever asks it to.
struct Waking {
    shared: Arc<Asked>,
    thread: thread::JoinHandle<()>,
}

#[derive(Default)]
struct Asked {
    waker: Mutex<Option<Waker>>,
    asked: AtomicBool,
    answered: AtomicBool,
    stop: AtomicBool,
}

impl Asked {
    fn take(&self) -> Option<Waker> {
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        waker.take()
    }
}

impl Waking {
    fn start(core: Option<usize>) -> Waking {
        let shared = Arc::new(Asked::default());
        let asked = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            if let Some(core) = core {
                bench_common::pin_to(&[core]).expect("the core was there at the start");
            }
            while !asked.stop.load(Ordering::Acquire) {
                if asked.asked.swap(false, Ordering::AcqRel) {
                    let waker = asked.take();
                    asked.answered.store(true, Ordering::Release);
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                } else {
                    thread::park();
                }
            }
        });
        Waking { shared, thread }
    }

    /// Asks `n` times, one after the other, each time waiting for the wake.
    async fn ask(&self, n: u64) {
        for _ in 0..n {
            let mut asked = false;
            poll_fn(|cx| {
                if !asked {
                    asked = true;
                    let own = Some(cx.waker().clone());
                    *self
                        .shared
                        .waker
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner) = own;
                    self.shared.asked.store(true, Ordering::Release);
                    self.thread.thread().unpark();
                    return Poll::Pending;
                }
                // A poll without an answer is spurious; the waker is still with the other thread.
                match self.shared.answered.swap(false, Ordering::AcqRel) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
        }
    }

    fn stop(self) {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread.join().expect("the thread does not panic");
    }
}

/// How many timers are armed in one poll: fewer than what any runtime lets a task do before it has
/// to let others run.
const ARMS_PER_POLL: u64 = 64;

/// Arms a timer that is due before all that are measured, and lets the runtime sleep once, so that
/// it knows: as in a server, where some earlier timer is always pending. (Some runtimes make a
/// system call when a timer is armed that is earlier than what they last went to sleep with.)
async fn arm_an_early_one<R: Rival>(rt: &R) {
    let own = rt.clone();
    R::detach(rt.spawn(async move {
        own.sleep(Duration::from_secs(20)).await;
    }));
    rt.sleep(Duration::from_millis(2)).await;
}

pub(crate) async fn arm_and_drop<R: Rival>(rt: &R, n: u64) {
    let mut numbers = Numbers::new();
    let mut left = n;
    while left > 0 {
        let now = left.min(ARMS_PER_POLL);
        poll_fn(|cx| {
            for _ in 0..now {
                let due = Duration::from_millis(30_000 + numbers.below(30_000));
                let timer = std::pin::pin!(rt.sleep(due));
                assert!(timer.poll(cx).is_pending(), "no timer is due yet");
            }
            Poll::Ready(())
        })
        .await;
        left -= now;
        wake_self().await;
    }
}

/// Arms `timers` timers, lets all of them fall due without letting the runtime see it, and then
/// waits until the task of each has run; again, until about `n` have fired.
///
/// The time is the CPU time of the process meanwhile, because a runtime may have another thread to
/// watch the clock (smol has), and that one works while this one sleeps.
async fn fire<R: Rival>(rt: &R, timers: u64, n: u64) -> Done {
    let mut done = Done {
        count: 0,
        time: Duration::ZERO,
    };
    // Arming must be over before the first one is due; how long it takes nobody knows yet.
    let mut head_start = Duration::from_millis(2) + Duration::from_micros(timers * 2);
    for _ in 0..(n / timers).clamp(1, 50) {
        loop {
            let begun = Instant::now();
            let spread = Duration::from_millis(10) + Duration::from_nanos(timers * 100);
            let end = Latch::new(timers);
            spawn_sleepers(rt, timers, begun + head_start, spread, &end).await;
            let in_time = begun.elapsed() < head_start;
            let before = cpu_time();
            thread::sleep((begun + head_start + spread + TICK).duration_since(Instant::now()));
            end.wait().await;
            if in_time {
                done.time += cpu_time() - before;
                done.count += timers;
                break;
            }
            head_start *= 2;
        }
    }
    done
}

/// The CPU time of this process so far.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// The coarsest timers of the field (tokio's) have this resolution and round up.
const TICK: Duration = Duration::from_millis(2);

/// Spawns tasks that each wait for a moment between `from` and `from + spread`; returns when all of
/// them have armed their timer.
async fn spawn_sleepers<R: Rival>(
    rt: &R,
    count: u64,
    from: Instant,
    spread: Duration,
    end: &Latch,
) {
    let mut numbers = Numbers::new();
    let armed = Latch::new(count);
    for _ in 0..count {
        let due = from + Duration::from_nanos(numbers.below(spread.as_nanos() as u64));
        let (own, end, armed) = (rt.clone(), end.clone(), armed.clone());
        R::detach(rt.spawn(async move {
            let sleep = own.sleep(due.saturating_duration_since(Instant::now()));
            armed.count_down();
            sleep.await;
            end.count_down();
        }));
    }
    armed.wait().await;
}

/// Where tasks that wait for ever leave their wakers, as every waiting task leaves one somewhere: a
/// task that no waker leads to any more may be freed.
pub(crate) struct Waiters {
    wakers: RefCell<Vec<Waker>>,
    started: Latch,
}

impl Waiters {
    pub(crate) fn with_room_for(count: u64) -> Rc<Waiters> {
        Rc::new(Waiters {
            wakers: RefCell::new(Vec::with_capacity(count as usize)),
            started: Latch::new(count),
        })
    }
}

/// Spawns tasks that wait for ever (until the runtime ends), and lets them begin to.
pub(crate) async fn spawn_waiting<R: Rival>(rt: &R, waiters: &Rc<Waiters>, count: u64) {
    for _ in 0..count {
        let waiters = Rc::clone(waiters);
        R::detach(rt.spawn(poll_fn(move |cx| {
            waiters.wakers.borrow_mut().push(cx.waker().clone());
            waiters.started.count_down();
            Poll::<()>::Pending
        })));
    }
    waiters.started.wait().await;
}
