//! Reports panics that no joiner receives.
//!
//! Called by the executor. A panic in a task never ends the runtime by itself: it is caught and
//! returned to the joiner of the task. If there is none, the panic is reported on stderr, so that it
//! is not lost, and the runtime continues or stops according to its builder.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::io::Write;
use std::panic::Location;

use crate::drops::drop_ignoring_panic;
use crate::executor::join_error::panic_text;

/// Reaction of the runtime to a panic of a task that is not joined; see
/// [`Builder::unhandled_panic`](crate::runtime::Builder::unhandled_panic).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum UnhandledPanic {
    /// A report on stderr; the runtime continues. The default.
    #[default]
    Ignore,
    /// A report on stderr; `block_on` panics after the tick. If the root future is ready in that tick,
    /// the next `block_on` panics.
    ShutdownRuntime,
}

/// A task that panicked and is not joined.
pub(crate) struct Unhandled {
    pub(crate) name: Option<String>,
    pub(crate) spawned_at: &'static Location<'static>,
}

impl fmt::Display for Unhandled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "task {name:?} spawned at {}", self.spawned_at),
            None => write!(f, "a task spawned at {}", self.spawned_at),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Panics {
    policy: UnhandledPanic,
    /// With `ShutdownRuntime`: the report with which `block_on` panics next.
    fatal: RefCell<Option<String>>,
}

impl Panics {
    pub(crate) fn new(policy: UnhandledPanic) -> Self {
        Panics {
            policy,
            fatal: RefCell::new(None),
        }
    }

    /// Reports the panic of a task; `text` is the text of its `JoinError`.
    pub(crate) fn report(&self, task: Unhandled, text: Option<String>) {
        let text = text.unwrap_or_else(|| "it panicked".to_owned());
        self.write(format!("wakeful: unhandled panic of {task}: {text}"));
    }

    /// Reports a panic of other user code that the runtime has called, and drops its payload.
    pub(crate) fn report_payload(&self, what: &str, payload: Box<dyn Any + Send>) {
        let text = panic_text(payload.as_ref()).unwrap_or("(no text)");
        self.write(format!("wakeful: {what} panicked: {text:?}"));
        drop_ignoring_panic(payload);
    }

    /// Writes a report to stderr, and stores it if it has to end `block_on`.
    fn write(&self, report: String) {
        // Not `eprintln!`, which panics when stderr is closed. The report is lost then.
        writeln!(std::io::stderr(), "{report}").ok();
        if self.policy == UnhandledPanic::ShutdownRuntime {
            *self.fatal.borrow_mut() = Some(report);
        }
    }

    /// Takes the report with which `block_on` has to panic, if there is one.
    #[inline]
    pub(crate) fn take_fatal(&self) -> Option<String> {
        match self.policy {
            UnhandledPanic::Ignore => None,
            UnhandledPanic::ShutdownRuntime => self.fatal.take(),
        }
    }
}
