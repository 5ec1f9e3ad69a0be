//! The panic for operations that were begun outside a runtime.
//!
//! `bind`, `connect` and look-ups touch the runtime only in their first poll, where the caller of
//! the operation is no longer on the stack; they remember it and ask here before they begin.

use std::panic::Location;

use wakeful::runtime::Handle;

/// Panics if this thread runs no runtime, naming the operation and the line that asked for it.
pub(crate) fn refuse(operation: &str, caller: &Location<'_>) {
    assert!(
        Handle::try_current().is_ok(),
        "`{operation}` at {caller} was polled outside a runtime: run it in `wakeful::block_on` or \
         in a task of one"
    );
}
