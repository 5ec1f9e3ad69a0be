//! Why a task gave no output.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use crate::id::Id;

/// What a panic carries: whatever was given to `panic!`.
pub(crate) type Payload = Box<dyn Any + Send + 'static>;

/// The payload by which `spawn_blocking` tells its task that the system refused a thread.
pub(crate) struct NotStarted(pub(crate) io::Error);

/// The error of awaiting a task that panicked or was cancelled.
///
/// A task is cancelled by [`abort`](super::JoinHandle::abort) or by the end of its runtime.
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
// In a box of its own: it is rare, and every output shares its place with it. The room is worth 32
// bytes per task, and fewer words to move: 40 instructions per await.
pub struct JoinError(Box<Ended>);

struct Ended {
    id: Option<Id>,
    reason: Reason,
}

enum Reason {
    Cancelled,
    // The mutex makes the error `Sync`; only the owner ever opens it.
    Panicked(Mutex<Payload>),
    /// No thread could be started for a blocking closure.
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
        JoinError(Box::new(Ended { id, reason }))
    }

    /// Says whether the task was aborted or its runtime ended first.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0.reason, Reason::Cancelled)
    }

    /// Says whether the task panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.0.reason, Reason::Panicked(_))
    }

    /// Returns the panic's payload, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    ///
    /// When the task did not panic; [`try_into_panic`](Self::try_into_panic) does not.
    #[must_use]
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(error) => panic!("into_panic on a JoinError that is no panic: {error}"),
        }
    }

    /// Returns the panic's payload, or the error unchanged when there was no panic.
    ///
    /// # Errors
    ///
    /// The error itself, when the task was cancelled.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, JoinError> {
        let Ended { id, reason } = *self.0;
        match reason {
            Reason::Panicked(payload) => {
                Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner))
            }
            reason => Err(JoinError::new(id, reason)),
        }
    }

    /// The task's number; `None` when it ended before it was given one.
    #[must_use]
    pub fn id(&self) -> Option<Id> {
        self.0.id
    }
}

/// The text of a panic, as far as it has one.
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
