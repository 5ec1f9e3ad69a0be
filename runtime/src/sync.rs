//! Locks, atomics and parked threads: `std`'s, and in model tests those of loom.
//!
//! Used by everything that hands something from one thread to another: [`crate::inbox`],
//! [`crate::blocking`], `task::spawn_blocking` and `runtime::handle`. Under `cfg(loom)` a test named
//! `loom_models` beside each of these runs it once for every interleaving that the memory model
//! allows; the command is in `.ci/run`, section `loom`.
//!
//! Used as well by what is shared between threads but is a single lock and nothing beside it, so that
//! there is nothing to model: `shutdown`, `io::duplex` and `task::join_set`.
//!
//! Not here, because a model would prove nothing about them: `Arc`, whose count is `std`'s affair;
//! statics, which outlive the single run of a model; and atomics that nobody waits for.

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

/// Runs a model once for every interleaving with at most so many preemptions (switches to another
/// thread where the first could have gone on), and for whatever the memory model adds to each.
/// Without a bound three threads take hours; the mistakes that we made or tried show at two. The
/// environment variable `LOOM_MAX_PREEMPTIONS` overrides it.
#[cfg(all(test, loom))]
pub(crate) fn model(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(run);
}

/// loom's `Condvar` never times out. This one does when the model says that time has passed.
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

        /// Whoever is woken after [`elapse`](Self::elapse) has timed out, also when it was told in
        /// the same moment: no real `Condvar` promises more.
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

        /// The time of everybody who waits now is over.
        pub(crate) fn elapse(&self) {
            self.elapsed.store(true, Ordering::Relaxed);
            self.inner.notify_all();
        }
    }
}
