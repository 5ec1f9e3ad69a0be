//! Locks, atomics and thread parking: those of `std`, or those of loom in model tests.
//!
//! Used by everything that moves something from one thread to another: [`crate::inbox`],
//! [`crate::blocking`], [`crate::oneshot`] and `runtime::handle`. Under `cfg(loom)`, a test module
//! named `loom_models` beside each of them runs it once for every interleaving that the memory model
//! allows. The command is in `.ci/run`, section `loom`.
//!
//! Used as well by types that threads share through a single lock, without anything to model:
//! `shutdown`, `io::duplex` and `task::join_set`.
//!
//! Not in this file, because a model would prove nothing about them: `Arc`, whose count is part of
//! `std`; statics, which outlive the single run of a model; and atomics that no code waits for.

#[cfg(not(all(test, loom)))]
pub(crate) use std::{
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

#[cfg(all(test, loom))]
pub(crate) use loom::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
#[cfg(all(test, loom))]
pub(crate) use timed::Condvar;

/// Runs a model once for every interleaving with at most `preemptions` preemptions, and for what the
/// memory model adds to each. A preemption is a switch away from a thread that could have continued.
///
/// Without a bound, three threads take hours. All mistakes that were made or tried show at two. The
/// environment variable `LOOM_MAX_PREEMPTIONS` overrides the bound.
#[cfg(all(test, loom))]
pub(crate) fn model(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(run);
}

/// A `Condvar` with timeouts that the model triggers. That of loom never times out.
#[cfg(all(test, loom))]
mod timed {
    use std::sync::LockResult;
    use std::time::Duration;

    use super::{AtomicBool, MutexGuard, Ordering};

    #[derive(Debug)]
    pub(crate) struct Condvar {
        inner: loom::sync::Condvar,
        elapsed: AtomicBool,
    }

    pub(crate) struct TimedOut(bool);

    impl TimedOut {
        pub(crate) fn timed_out(&self) -> bool {
            self.0
        }
    }

    impl Condvar {
        pub(crate) fn new() -> Self {
            Condvar {
                inner: loom::sync::Condvar::new(),
                elapsed: AtomicBool::new(false),
            }
        }

        pub(crate) fn notify_one(&self) {
            self.inner.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.inner.notify_all();
        }

        /// Reports a timeout for every wakeup after [`elapse`](Self::elapse), even if a
        /// notification caused it: no real `Condvar` promises more.
        pub(crate) fn wait_timeout<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            _: Duration,
        ) -> LockResult<(MutexGuard<'a, T>, TimedOut)> {
            let guard = self
                .inner
                .wait(guard)
                .expect("a lock of loom is never poisoned");
            Ok((guard, TimedOut(self.elapsed.load(Ordering::Relaxed))))
        }

        /// Times out all current waits.
        pub(crate) fn elapse(&self) {
            self.elapsed.store(true, Ordering::Relaxed);
            self.inner.notify_all();
        }
    }
}
