//! Runs a few threads in every order of their steps.
//!
//! A step is what is done under one lock ([`Shared::with`]), a signal ([`signal`]), or the end of a
//! sleep ([`sleep`]). One thread at a time takes one step; all orders are tried, one after the other.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Steps of one order after which a thread counts as one that never ends.
const STEPS_AT_MOST: usize = 80;

#[derive(Clone, Copy, PartialEq)]
enum At {
    Running,
    BeforeStep,
    Asleep,
    Done,
}

#[derive(Default)]
struct Gate {
    /// The thread that may take its step now.
    turn: Option<usize>,
    at: Vec<At>,
    signaled: bool,
    steps: Vec<(usize, &'static str)>,
    panic: Option<String>,
}

static GATE: Mutex<Option<Gate>> = Mutex::new(None);
static CHANGED: Condvar = Condvar::new();

thread_local! {
    /// The number of a thread of the model.
    static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
    /// The thread holds a lock: what it does belongs to the same step.
    static LOCKED: Cell<bool> = const { Cell::new(false) };
}

fn gate() -> MutexGuard<'static, Option<Gate>> {
    GATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn changed(gate: MutexGuard<'static, Option<Gate>>) -> MutexGuard<'static, Option<Gate>> {
    CHANGED.wait(gate).unwrap_or_else(PoisonError::into_inner)
}

/// Waits until this thread may take its next step. Returns false outside a model.
fn step(at: At, name: &'static str, effect: impl FnOnce(&mut Gate)) -> bool {
    let Some(number) = NUMBER.get() else { return false };
    let mut guard = gate();
    if let Some(gate) = guard.as_mut() {
        gate.at[number] = at;
    }
    CHANGED.notify_all();
    loop {
        match guard.as_mut() {
            Some(gate) if gate.turn == Some(number) => {
                gate.turn = None;
                gate.at[number] = At::Running;
                gate.steps.push((number, name));
                effect(gate);
                return true;
            }
            _ => guard = changed(guard),
        }
    }
}

/// Adds to the steps what a thread of the model does between two of them.
pub fn note(name: &'static str) {
    let Some(number) = NUMBER.get() else { return };
    if let Some(gate) = gate().as_mut() {
        gate.steps.push((number, name));
    }
}

/// A value behind a lock.
#[derive(Debug, Default)]
pub struct Shared<T>(Mutex<T>);

impl<T> Shared<T> {
    /// Puts a value behind a lock.
    pub const fn new(value: T) -> Self {
        Shared(Mutex::new(value))
    }

    /// Runs `f` under the lock. All of it is one step, which reports call by `name`.
    pub fn with<R>(&self, name: &'static str, f: impl FnOnce(&mut T) -> R) -> R {
        step(At::BeforeStep, name, |_| ());
        let outer = LOCKED.replace(true);
        let result = f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        LOCKED.set(outer);
        result
    }
}

/// Signals the sleeper of a model. Returns false outside a model.
pub(crate) fn signal() -> bool {
    if NUMBER.get().is_some() && LOCKED.get() {
        if let Some(gate) = gate().as_mut() {
            gate.signaled = true;
        }
        return true;
    }
    step(At::BeforeStep, "signals", |gate| gate.signaled = true)
}

/// Sleeps until a thread of the model signals, or has signaled before.
pub fn sleep() {
    step(At::Asleep, "wakes up", |gate| gate.signaled = false);
}

/// What the model found.
#[derive(Debug)]
pub enum Verdict {
    /// All threads end in every order.
    AllEnd {
        /// The number of orders.
        orders: usize,
    },
    /// A thread sleeps and no other thread is left.
    Asleep {
        /// The number of the order.
        order: usize,
        /// Thread and step.
        steps: Vec<(usize, &'static str)>,
    },
    /// A thread takes steps without end.
    NeverEnds {
        /// The number of the order.
        order: usize,
        /// Thread and step.
        steps: Vec<(usize, &'static str)>,
    },
    /// A thread panicked.
    Panicked(String),
}

/// The threads of a model.
pub type Threads = Vec<Box<dyn FnOnce() + Send>>;

/// A choice that was made: which of how many.
type Choice = (usize, usize);

/// Runs the threads in every order; stops at the first one that does not end.
pub fn explore(threads: impl Fn() -> Threads) -> Verdict {
    let mut path: Vec<Choice> = Vec::new();
    let mut order = 0;
    loop {
        order += 1;
        match run_one(threads(), &mut path) {
            Ended::All(_) => {}
            Ended::Asleep(steps) => return Verdict::Asleep { order, steps },
            Ended::Never(steps) => return Verdict::NeverEnds { order, steps },
            Ended::Panicked(message) => return Verdict::Panicked(message),
        }
        if !next_path(&mut path) {
            return Verdict::AllEnd { orders: order };
        }
    }
}

/// Returns the steps of one order: the first one that does not end, or else the first of all. For pictures.
#[must_use]
pub fn one_order(threads: impl Fn() -> Threads) -> Vec<(usize, &'static str)> {
    match explore(&threads) {
        Verdict::Asleep { steps, .. } | Verdict::NeverEnds { steps, .. } => steps,
        Verdict::Panicked(_) => Vec::new(),
        Verdict::AllEnd { .. } => match run_one(threads(), &mut Vec::new()) {
            Ended::All(steps) | Ended::Asleep(steps) | Ended::Never(steps) => steps,
            Ended::Panicked(_) => Vec::new(),
        },
    }
}

/// Moves to the next order; false after the last one.
fn next_path(path: &mut Vec<Choice>) -> bool {
    while let Some((choice, of)) = path.pop() {
        if choice + 1 < of {
            path.push((choice + 1, of));
            return true;
        }
    }
    false
}

enum Ended {
    All(Vec<(usize, &'static str)>),
    Asleep(Vec<(usize, &'static str)>),
    Never(Vec<(usize, &'static str)>),
    Panicked(String),
}

fn run_one(threads: Threads, path: &mut Vec<Choice>) -> Ended {
    let number = threads.len();
    *gate() = Some(Gate { at: vec![At::Running; number], ..Gate::default() });
    let handles: Vec<_> =
        (0..).zip(threads).map(|(n, f)| thread::spawn(move || run_thread(n, f))).collect();
    let mut depth = 0;
    loop {
        let mut guard = gate();
        let gate = loop {
            match guard.as_mut() {
                Some(gate) if gate.turn.is_none() && !gate.at.contains(&At::Running) => break gate,
                _ => guard = changed(guard),
            }
        };
        if let Some(message) = gate.panic.take() {
            return Ended::Panicked(message);
        }
        let can_go = |at: At| at == At::BeforeStep || at == At::Asleep && gate.signaled;
        let ready: Vec<usize> = (0..number).filter(|&n| can_go(gate.at[n])).collect();
        if ready.is_empty() {
            if gate.at.contains(&At::Asleep) {
                return Ended::Asleep(gate.steps.clone());
            }
            break;
        }
        if depth == STEPS_AT_MOST {
            return Ended::Never(gate.steps.clone());
        }
        if depth == path.len() {
            path.push((0, ready.len()));
        }
        gate.turn = Some(ready[path[depth].0]);
        depth += 1;
        CHANGED.notify_all();
    }
    for handle in handles {
        // A panic was noted by the thread itself.
        let _ = handle.join();
    }
    Ended::All(gate().take().map(|gate| gate.steps).unwrap_or_default())
}

fn run_thread(number: usize, f: Box<dyn FnOnce() + Send>) {
    NUMBER.set(Some(number));
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    NUMBER.set(None);
    if let Some(gate) = gate().as_mut() {
        gate.at[number] = At::Done;
        if let Err(panic) = result {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            gate.panic = Some(text.unwrap_or_default());
        }
    }
    CHANGED.notify_all();
}
