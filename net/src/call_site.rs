//! Where an operation was started, and the panic for operations that are polled outside a runtime.
//!
//! `bind`, `connect` and lookups use the runtime only from their first poll, when the user's call
//! is no longer on the stack. Their futures store a [`CallSite`] and pass it to
//! [`require_runtime`].

use std::panic::Location;

use wakeful::runtime::Handle;

/// Name of a public operation, and the source location of the call.
pub(crate) type CallSite = (&'static str, &'static Location<'static>);

/// Panics if no runtime runs on this thread. The message names the operation and its call.
pub(crate) fn require_runtime((operation, location): CallSite) {
    assert!(
        Handle::try_current().is_ok(),
        "`{operation}` at {location} was polled outside a runtime: run it in `wakeful::block_on` \
         or in a task of a runtime"
    );
}
