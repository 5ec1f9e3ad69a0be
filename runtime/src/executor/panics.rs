//! What becomes of a panic that no joiner hears.
//!
//! Used by the executor. A panic in a task never takes the runtime down by itself: it is caught and
//! given to whoever awaits the task. When nobody does, silence would be the worst answer, so a line
//! goes to stderr, and the runtime goes on or stops as its builder was told.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::io::Write;
use std::panic::Location;

use crate::executor::join_error::panic_text;

/// What the runtime does after a panic that nobody has joined; see
/// [`Builder::unhandled_panic`](crate::runtime::Builder::unhandled_panic).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum UnhandledPanic {
    /// Report it on stderr and go on. The default.
    #[default]
    Ignore,
    /// Report it on stderr and let `block_on` panic at the end of the tick.
    ShutdownRuntime,
}

/// The task that nobody joined.
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
    /// Under `Shutdown`: the report with which `block_on` is to panic.
    fatal: RefCell<Option<String>>,
}

impl Panics {
    pub(crate) fn new(policy: UnhandledPanic) -> Self {
        Panics {
            policy,
            fatal: RefCell::new(None),
        }
    }

    /// Reports a task's panic; `text` is its message.
    pub(crate) fn report(&self, task: Unhandled, text: Option<String>) {
        let text = text.unwrap_or_else(|| "it panicked".to_owned());
        self.tell(format!("wakeful: nobody joined {task}: {text}"));
    }

    /// Reports a panic in other code of the user's that the runtime had to run.
    pub(crate) fn report_payload(&self, what: &str, payload: &(dyn Any + Send)) {
        let text = panic_text(payload).unwrap_or("(no text)");
        self.tell(format!("wakeful: {what} panicked: {text:?}"));
    }

    fn tell(&self, report: String) {
        // Not `eprintln!`, which panics when stderr is closed; there is nobody left to tell then.
        writeln!(std::io::stderr(), "{report}").ok();
        if self.policy == UnhandledPanic::ShutdownRuntime {
            *self.fatal.borrow_mut() = Some(report);
        }
    }

    /// The report that is to end `block_on`.
    #[inline]
    pub(crate) fn take_fatal(&self) -> Option<String> {
        match self.policy {
            UnhandledPanic::Ignore => None,
            UnhandledPanic::ShutdownRuntime => self.fatal.take(),
        }
    }
}
