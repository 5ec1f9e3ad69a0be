//! Drops of values that user code made.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Drops a value and discards a panic from its destructor. Used where another panic is already being
/// reported.
pub(crate) fn drop_ignoring_panic<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // The destructor of the payload is user code, too. If it panics, the new payload is leaked, so
        // that this terminates.
        if let Err(third) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Box::leak(third);
        }
    }
}
