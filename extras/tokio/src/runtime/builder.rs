//! tokio's builder, with the options that Wakeful has.

use std::io;
use std::time::Duration;

use super::{LocalRuntime, Runtime, UnhandledPanic};

/// Builder of a [`Runtime`] on this thread.
///
/// Options of tokio's threads are accepted and have no effect: `worker_threads`, `thread_name`,
/// `thread_stack_size`, `thread_keep_alive`, `global_queue_interval`. So have `enable_io`,
/// `enable_time` and `enable_all`, because both are always enabled.
///
/// # Examples
///
/// ```
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// assert_eq!(runtime.block_on(async { 6 * 7 }), 42);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    name: Option<String>,
    start_paused: bool,
    max_blocking_threads: Option<usize>,
    event_interval: Option<u32>,
    max_io_events_per_tick: Option<usize>,
    unhandled_panic: UnhandledPanic,
}

impl Builder {
    /// Returns the builder of a runtime on this thread.
    #[must_use]
    pub fn new_current_thread() -> Self {
        Self::default()
    }

    /// Returns the builder of a runtime on this thread, because Wakeful has no other kind.
    #[must_use]
    pub fn new_multi_thread() -> Self {
        Self::default()
    }

    /// Has no effect: I/O and time are always enabled.
    pub fn enable_all(&mut self) -> &mut Self {
        self
    }

    /// Has no effect: I/O is always enabled.
    pub fn enable_io(&mut self) -> &mut Self {
        self
    }

    /// Has no effect: time is always enabled.
    pub fn enable_time(&mut self) -> &mut Self {
        self
    }

    /// Has no effect: tasks run on one thread.
    ///
    /// # Panics
    ///
    /// When the number is 0, as in tokio.
    #[track_caller]
    pub fn worker_threads(&mut self, threads: usize) -> &mut Self {
        assert!(threads > 0, "Worker threads cannot be set to 0");
        self
    }

    /// Sets the maximum number of threads for blocking closures.
    ///
    /// # Panics
    ///
    /// When the number is 0.
    #[track_caller]
    pub fn max_blocking_threads(&mut self, threads: usize) -> &mut Self {
        assert!(threads > 0, "Max blocking threads cannot be set to 0");
        self.max_blocking_threads = Some(threads);
        self
    }

    /// Sets the number of polls between two checks for events.
    ///
    /// # Panics
    ///
    /// When the number is 0.
    #[track_caller]
    pub fn event_interval(&mut self, polls: u32) -> &mut Self {
        assert!(polls > 0, "event_interval must be greater than 0");
        self.event_interval = Some(polls);
        self
    }

    /// Has no effect: a runtime of one thread has one queue.
    ///
    /// # Panics
    ///
    /// When the number is 0, as in tokio.
    #[track_caller]
    pub fn global_queue_interval(&mut self, polls: u32) -> &mut Self {
        assert!(polls > 0, "global_queue_interval must be greater than 0");
        self
    }

    /// Sets the maximum number of events that one check receives.
    pub fn max_io_events_per_tick(&mut self, events: usize) -> &mut Self {
        self.max_io_events_per_tick = Some(events);
        self
    }

    /// Sets the name that [`Handle::name`](super::Handle::name) returns.
    ///
    /// # Panics
    ///
    /// When the name is empty.
    #[track_caller]
    pub fn name(&mut self, name: impl Into<String>) -> &mut Self {
        let name = name.into();
        assert!(!name.trim().is_empty(), "runtime name shouldn't be empty");
        self.name = Some(name);
        self
    }

    /// Has no effect: Wakeful names its own threads.
    pub fn thread_name(&mut self, _: impl Into<String>) -> &mut Self {
        self
    }

    /// Has no effect: Wakeful names its own threads.
    pub fn thread_name_fn<F>(&mut self, _: F) -> &mut Self
    where
        F: Fn() -> String + Send + Sync + 'static,
    {
        self
    }

    /// Has no effect: tasks run on the calling thread.
    pub fn thread_stack_size(&mut self, _: usize) -> &mut Self {
        self
    }

    /// Has no effect.
    pub fn thread_keep_alive(&mut self, _: Duration) -> &mut Self {
        self
    }

    /// Sets whether the runtime starts with a paused clock.
    pub fn start_paused(&mut self, paused: bool) -> &mut Self {
        self.start_paused = paused;
        self
    }

    /// Sets what a panic of a detached task does.
    pub fn unhandled_panic(&mut self, behavior: UnhandledPanic) -> &mut Self {
        self.unhandled_panic = behavior;
        self
    }

    /// Builds the runtime. It stays on this thread.
    ///
    /// # Errors
    ///
    /// When its descriptors cannot be opened.
    pub fn build(&mut self) -> io::Result<Runtime> {
        let mut builder = wakeful::runtime::Builder::new()
            .start_paused(self.start_paused)
            .auto_advance_despite_io(true)
            .unhandled_panic(self.unhandled_panic);
        if let Some(threads) = self.max_blocking_threads {
            builder = builder.max_blocking_threads(threads);
        }
        if let Some(polls) = self.event_interval {
            builder = builder.event_interval(polls);
        }
        if let Some(events) = self.max_io_events_per_tick {
            builder = builder.max_io_events_per_tick(events);
        }
        let name = self.name.clone();
        builder
            .build()
            .map(|runtime| Runtime::from_wakeful(runtime, name))
    }

    /// Does the same as [`build`](Self::build), because every runtime of Wakeful is local.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_local(&mut self, _: LocalOptions) -> io::Result<LocalRuntime> {
        self.build()
    }
}

/// Options of a [`LocalRuntime`]; there are none.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct LocalOptions {}
