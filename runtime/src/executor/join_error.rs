//! The error of a task that returned no output.
//!
//! Used by the executor and by remote handles; received by joiners.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use crate::id::Id;

/// Payload of a panic: the argument of `panic!` or `std::panic::panic_any`.
pub(crate) type Payload = Box<dyn Any + Send + 'static>;

/// Panic payload of a `spawn_blocking` task for which the system refused to start a thread.
pub(crate) struct NotStarted(pub(crate) io::Error);

/// The error of joining a task that panicked or was canceled.
///
/// [`abort`](crate::task::JoinHandle::abort) and the end of its runtime cancel a task.
///
/// # Examples
///
/// ```
/// wakeful::block_on(async {
///     let error = wakeful::spawn(async { panic!("by accident") }).await.unwrap_err();
///     assert!(error.is_panic() && !error.is_cancelled());
///     let payload = error.into_panic();
///     assert_eq!(payload.downcast_ref(), Some(&"by accident"));
/// });
/// ```
#[non_exhaustive]
// Boxed, because it is rare and shares its memory with every output: 32 bytes less per task, and 40
// instructions less per await (docs/TRIED.md, "Tasks: kept").
pub struct JoinError(Box<Inner>);

struct Inner {
    id: Option<Id>,
    reason: Reason,
}

enum Reason {
    Cancelled,
    // The mutex makes the error `Sync`. It is never contended.
    Panicked(Mutex<Payload>),
    /// Error of starting a thread for a blocking closure.
    NotStarted(io::Error),
}

impl JoinError {
    pub(crate) fn cancelled(id: impl Into<Option<Id>>) -> Self {
        JoinError::new(id.into(), Reason::Cancelled)
    }

    pub(crate) fn panicked(id: impl Into<Option<Id>>, payload: Payload) -> Self {
        let reason = match payload.downcast::<NotStarted>() {
            Ok(not_started) => Reason::NotStarted(not_started.0),
            Err(payload) => Reason::Panicked(Mutex::new(payload)),
        };
        JoinError::new(id.into(), reason)
    }

    fn new(id: Option<Id>, reason: Reason) -> Self {
        JoinError(Box::new(Inner { id, reason }))
    }

    /// Returns whether the task was aborted or its runtime ended first.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0.reason, Reason::Cancelled)
    }

    /// Returns whether the task panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.0.reason, Reason::Panicked(_))
    }

    /// Returns the panic's payload, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    ///
    /// Panics when the task did not panic. [`try_into_panic`](Self::try_into_panic) returns the
    /// error instead.
    #[must_use]
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(error) => panic!(
                "JoinError::into_panic: there is no panic payload: {error}; check `is_panic` first"
            ),
        }
    }

    /// Returns the panic's payload, for [`std::panic::resume_unwind`].
    ///
    /// # Errors
    ///
    /// The error itself, if the task did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, JoinError> {
        let Inner { id, reason } = *self.0;
        match reason {
            Reason::Panicked(payload) => {
                Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner))
            }
            reason => Err(JoinError::new(id, reason)),
        }
    }

    /// Returns the id of the task; `None` if it ended before it had one.
    #[must_use]
    pub fn id(&self) -> Option<Id> {
        self.0.id
    }
}

/// Returns the text of a panic, if its payload is a string.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> Option<&str> {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.id {
            Some(id) => write!(f, "task {id} ")?,
            None => write!(f, "task ")?,
        }
        match &self.0.reason {
            Reason::Cancelled => write!(f, "was cancelled"),
            Reason::NotStarted(error) => write!(f, "could not be started: {error}"),
            Reason::Panicked(payload) => {
                let payload = payload.lock().unwrap_or_else(PoisonError::into_inner);
                match panic_text(&**payload) {
                    Some(text) => write!(f, "panicked with message {text:?}"),
                    None => write!(f, "panicked"),
                }
            }
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl std::error::Error for JoinError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.reason {
            Reason::NotStarted(error) => Some(error),
            _ => None,
        }
    }
}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        io::Error::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn an_error_of_starting_a_thread_is_the_source() {
        let payload = NotStarted(io::Error::from(io::ErrorKind::WouldBlock));
        let error = JoinError::panicked(None, Box::new(payload));
        assert!(!error.is_panic() && !error.is_cancelled());
        let source = error.source().map(ToString::to_string);
        let source = source.expect("the error of the system");
        assert_eq!(
            error.to_string(),
            format!("task could not be started: {source}")
        );
        assert!(JoinError::cancelled(None).source().is_none());
    }
}
