//! Lets the thread of a host run only while another thread waits for it.
//!
//! ```text
//!   the simulation   resume ------------------- waits ------------------> Turn::Waits, or Ended
//!                      | resumed                                            ^ paused
//!                      v                                                    |
//!   the host         runs until its runtime waits, or its program ends -----+
//! ```
//!
//! So one thread at a time runs, and the order follows from the choices of the run. A condition variable for
//! each direction, because both threads know which one is next.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wakeful::kernel::Progress;

use super::ends::Outside;

/// The payload of the panic that ends the program of a host from outside. It is not printed.
pub(crate) struct Crashed;

/// How the program of a host has ended.
pub(crate) enum Ended {
    Returned,
    /// By [`Crashed`].
    Unwound,
    Panicked {
        payload: Box<dyn Any + Send>,
        place: Option<String>,
    },
    /// It cannot be ended, because a destructor waits during a panic. Its thread stays where it is.
    Left,
}

/// What a host has done with its turn.
pub(crate) enum Turn {
    Waits,
    Ended(Ended),
    /// It has run for too long.
    Stuck,
}

enum State {
    Waits,
    Runs,
    Ended(Option<Ended>),
}

/// One run of a host's program.
pub(crate) struct Gate {
    state: Mutex<State>,
    resumed: Condvar,
    paused: Condvar,
    /// Whether nothing that the program does reaches the simulation any more. Relaxed, because the mutex orders
    /// it, except for a program that is stuck.
    is_dead: AtomicBool,
    /// Whether the next turn is for a description of the program.
    wants_dump: AtomicBool,
    /// Says what the loop of the host's last runtime does.
    progress: Mutex<Option<Progress>>,
    pub(crate) outside: Outside,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State::Waits),
            resumed: Condvar::new(),
            paused: Condvar::new(),
            is_dead: AtomicBool::new(false),
            wants_dump: AtomicBool::new(false),
            progress: Mutex::new(None),
            outside: Outside::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_progress(&self, progress: Progress) {
        *self.progress() = Some(progress);
    }

    fn progress(&self) -> MutexGuard<'_, Option<Progress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what the loop of the host does, as far as it is known.
    pub(crate) fn doing(&self) -> Option<String> {
        self.progress().as_ref()?.text()
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    /// Ends the program: its next wait unwinds.
    pub(crate) fn kill(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
    }

    /// Lets the host describe its program, if it waits.
    pub(crate) fn ask_for_dump(&self, patience: Duration) {
        self.wants_dump.store(true, Ordering::Relaxed);
        self.resume(patience);
    }

    /// Lets the host run until it waits or ends, for at most `patience` of the machine's time. Called by the
    /// thread that runs now.
    pub(crate) fn resume(&self, patience: Duration) -> Turn {
        let mut state = self.lock();
        if matches!(*state, State::Waits) {
            *state = State::Runs;
            self.resumed.notify_one();
        }
        let (mut state, _) = self
            .paused
            .wait_timeout_while(state, patience, |state| matches!(state, State::Runs))
            .unwrap_or_else(PoisonError::into_inner);
        match &mut *state {
            State::Waits => Turn::Waits,
            State::Runs => Turn::Stuck,
            State::Ended(ended) => Turn::Ended(ended.take().unwrap_or(Ended::Left)),
        }
    }

    /// Waits for the first turn. Called by the host's thread.
    pub(crate) fn begin(&self) {
        self.wait(self.lock());
        if self.wants_dump.swap(false, Ordering::Relaxed) {
            // There is no runtime yet.
            self.pause(|| ());
        }
    }

    /// Ends the turn and waits for the next one. Calls `dump` if it is asked for before. Called by the host's thread.
    pub(crate) fn pause(&self, dump: impl Fn()) {
        loop {
            let mut state = self.lock();
            *state = State::Waits;
            self.paused.notify_one();
            self.wait(state);
            if !self.wants_dump.swap(false, Ordering::Relaxed) {
                return;
            }
            dump();
        }
    }

    fn wait(&self, state: MutexGuard<'_, State>) {
        let waits = |state: &mut State| matches!(state, State::Waits);
        let resumed = self.resumed.wait_while(state, waits);
        drop(resumed.unwrap_or_else(PoisonError::into_inner));
    }

    /// Ends the last turn. Called by the host's thread.
    pub(crate) fn end(&self, ended: Ended) {
        *self.lock() = State::Ended(Some(ended));
        self.paused.notify_one();
    }
}
