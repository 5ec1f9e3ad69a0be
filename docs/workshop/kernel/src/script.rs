//! What happens outside the runtime in a check, and virtual time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::panic;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::{record, sys};

/// Calls of `epoll_wait` in a row, without a poll, a read or a write, after which the loop counts as one
/// that never blocks.
const TURNS_WITHOUT_PROGRESS: u32 = 1_000;

/// How long a step's event may take. Loopback needs microseconds; a busy machine needs more.
const EVENT_MS: i32 = 500;

/// The same for a step that can have no event.
const MAYBE_MS: i32 = 5;

struct Step {
    name: &'static str,
    run: Box<dyn FnOnce()>,
    wait_ms: i32,
}

/// A script that is being performed.
struct World {
    steps: VecDeque<Step>,
    elapsed: Duration,
    turns: u32,
    parks: u32,
    timed_parks: u32,
    stuck: Option<Stuck>,
}

impl World {
    /// Counts a call; returns how many there were since the last progress.
    fn attempt(&mut self) -> u32 {
        self.turns += 1;
        self.turns
    }
}

/// Whether any thread performs a script. Calls of other threads are recorded as well.
static CHECKING: AtomicBool = AtomicBool::new(false);

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
    static IN_STEP: Cell<bool> = const { Cell::new(false) };
}

/// Why a run was ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// `epoll_wait` without a timeout, with no step left that could cause an event.
    AsleepForever,
    /// A thousand calls of `epoll_wait` without any progress.
    NeverSleeps,
    /// A call on a descriptor without `O_NONBLOCK`.
    MayBlock {
        /// The name of the call.
        call: &'static str,
    },
}

/// The steps of the peers. Each is taken when the runtime blocks and no event is ready.
#[derive(Default)]
pub struct Script(VecDeque<Step>);

impl Script {
    /// Returns a script without steps.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a step that causes an event.
    #[must_use]
    pub fn then(self, name: &'static str, run: impl FnOnce() + 'static) -> Self {
        self.with(name, run, EVENT_MS)
    }

    /// Adds a step that can cause an event, or none.
    #[must_use]
    pub fn then_maybe(self, name: &'static str, run: impl FnOnce() + 'static) -> Self {
        self.with(name, run, MAYBE_MS)
    }

    fn with(mut self, name: &'static str, run: impl FnOnce() + 'static, wait_ms: i32) -> Self {
        self.0.push_back(Step { name, run: Box::new(run), wait_ms });
        self
    }

    /// Begins the check on this thread: from now on calls are recorded and time is virtual.
    pub fn begin(self) {
        record::clear_record();
        WORLD.set(Some(World {
            steps: self.0,
            elapsed: Duration::ZERO,
            turns: 0,
            parks: 0,
            timed_parks: 0,
            stuck: None,
        }));
        CHECKING.store(true, Ordering::SeqCst);
    }
}

pub(crate) fn is_checking() -> bool {
    CHECKING.load(Ordering::SeqCst)
}

fn with_world<R>(f: impl FnOnce(&mut World) -> R) -> Option<R> {
    WORLD.with_borrow_mut(|world| world.as_mut().map(f))
}

/// Returns how often the runtime blocked.
#[must_use]
pub fn parks() -> u32 {
    with_world(|world| world.parks).unwrap_or(0)
}

/// Returns how often the runtime blocked with a timeout.
#[must_use]
pub fn timed_parks() -> u32 {
    with_world(|world| world.timed_parks).unwrap_or(0)
}

/// Returns why the run was ended, if it was.
#[must_use]
pub fn stuck() -> Option<Stuck> {
    with_world(|world| world.stuck.clone()).flatten()
}

/// Notes that something was polled, read or written, so the loop does not turn without effect.
pub fn progress() {
    with_world(|world| world.turns = 0);
}

/// Moves virtual time, as a computation would.
pub fn advance(by: Duration) {
    with_world(|world| world.elapsed += by);
}

/// Returns the time: virtual in a check.
#[must_use]
pub fn now() -> Instant {
    static BASE: OnceLock<Instant> = OnceLock::new();
    match with_world(|world| world.elapsed) {
        Some(elapsed) => *BASE.get_or_init(Instant::now) + elapsed,
        None => Instant::now(),
    }
}

/// Ends the run: no future can catch this, because the check reads it again afterwards.
fn end(stuck: Stuck) -> ! {
    with_world(|world| world.stuck = Some(stuck.clone()));
    panic::panic_any(stuck)
}

/// Ends the run if a call on that descriptor could block.
pub(crate) fn must_not_block(call: &'static str, fd: RawFd) {
    // A loop around a call that would block never comes to `wait`.
    if with_world(World::attempt).is_some_and(|turns| turns > TURNS_WITHOUT_PROGRESS) {
        end(Stuck::NeverSleeps);
    }
    let checked = with_world(|_| ()).is_some() && !IN_STEP.get();
    if checked && sys::can_block(fd) {
        end(Stuck::MayBlock { call });
    }
}

/// Waits as a check does: `look(timeout)` calls epoll_wait(2). Returns its result.
pub(crate) fn wait(
    timeout_ms: i32,
    mut look: impl FnMut(i32) -> std::io::Result<i32>,
) -> std::io::Result<i32> {
    let Some(turns) = with_world(World::attempt) else { return look(timeout_ms) };
    if turns > TURNS_WITHOUT_PROGRESS {
        end(Stuck::NeverSleeps);
    }
    let ready = look(0)?;
    if ready > 0 || timeout_ms == 0 {
        return Ok(ready);
    }
    with_world(|world| {
        world.parks += 1;
        world.timed_parks += u32::from(timeout_ms > 0);
    });
    record::note(match timeout_ms {
        ..0 => "blocks".to_owned(),
        ms => format!("blocks at most {ms} ms"),
    });
    while let Some(step) = with_world(|world| world.steps.pop_front()).flatten() {
        record::note(step.name.to_owned());
        IN_STEP.set(true);
        (step.run)();
        IN_STEP.set(false);
        progress();
        let ready = look(step.wait_ms)?;
        if ready > 0 {
            return Ok(ready);
        }
    }
    if timeout_ms < 0 {
        end(Stuck::AsleepForever);
    }
    let step = Duration::from_millis(timeout_ms.unsigned_abs().into());
    with_world(|world| world.elapsed += step);
    Ok(0)
}
