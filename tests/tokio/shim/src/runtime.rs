//! The runtime under the names of tokio's builder.

use std::io;
use std::ops::Deref;
use std::time::Duration;

pub use wakeful::runtime::{EnterGuard, TryCurrentError};

/// tokio's builder, with the options that Wakeful has.
#[derive(Debug)]
pub struct Builder {
    start_paused: bool,
    max_blocking_threads: Option<usize>,
    event_interval: Option<u32>,
}

impl Builder {
    /// Returns the builder of a runtime on this thread, the only kind in Wakeful.
    #[must_use]
    pub fn new_current_thread() -> Self {
        Builder {
            start_paused: false,
            max_blocking_threads: None,
            event_interval: None,
        }
    }

    /// Panics, so that the calling test fails: Wakeful has no multi-thread scheduler.
    #[must_use]
    pub fn new_multi_thread() -> Self {
        panic!("Wakeful has no multi-thread scheduler")
    }

    /// Does nothing, because it is always enabled.
    pub fn enable_all(&mut self) -> &mut Self {
        self
    }

    /// Does nothing, because it is always enabled.
    pub fn enable_io(&mut self) -> &mut Self {
        self
    }

    /// Does nothing, because it is always enabled.
    pub fn enable_time(&mut self) -> &mut Self {
        self
    }

    /// Does nothing, because it applies to the multi-thread scheduler only.
    pub fn worker_threads(&mut self, _: usize) -> &mut Self {
        self
    }

    /// `Builder::max_blocking_threads`.
    pub fn max_blocking_threads(&mut self, threads: usize) -> &mut Self {
        self.max_blocking_threads = Some(threads);
        self
    }

    /// `Builder::event_interval`.
    pub fn event_interval(&mut self, polls: u32) -> &mut Self {
        self.event_interval = Some(polls);
        self
    }

    /// `Builder::start_paused`.
    pub fn start_paused(&mut self, paused: bool) -> &mut Self {
        self.start_paused = paused;
        self
    }

    /// `Builder::build`.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    pub fn build(&mut self) -> io::Result<Runtime> {
        let mut builder = wakeful::runtime::Builder::new().start_paused(self.start_paused);
        if let Some(threads) = self.max_blocking_threads {
            builder = builder.max_blocking_threads(threads);
        }
        if let Some(polls) = self.event_interval {
            builder = builder.event_interval(polls);
        }
        builder.build().map(Runtime)
    }

    /// `Builder::build`, because every runtime of Wakeful is local.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    pub fn build_local(&mut self, _: LocalOptions) -> io::Result<LocalRuntime> {
        self.build()
    }
}

/// tokio's runtime whose tasks need not be `Send`, as in every runtime of Wakeful.
pub type LocalRuntime = Runtime;

/// Options of a [`LocalRuntime`]; there are none.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct LocalOptions {}

/// Wakeful's runtime with tokio's functions that drop it.
#[derive(Debug)]
pub struct Runtime(wakeful::runtime::Runtime);

impl Runtime {
    /// `Runtime::new`. tokio's function creates a multi-thread scheduler, but its tests need only some
    /// runtime.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    pub fn new() -> io::Result<Self> {
        wakeful::runtime::Runtime::new().map(Runtime)
    }

    /// Drops the runtime, which never waits for blocking closures.
    pub fn shutdown_timeout(self, _: Duration) {}

    /// Drops the runtime, which never waits for blocking closures.
    pub fn shutdown_background(self) {}
}

impl Deref for Runtime {
    type Target = wakeful::runtime::Runtime;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

pub use wakeful::runtime::Handle;
