//! A place in the source that one thread writes and another one reads.
//!
//! Used by [`crate::watch`].

use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A cell for a place in the source, or for none.
#[derive(Debug, Default)]
pub(crate) struct AtomicPlace(AtomicPtr<Location<'static>>);

impl AtomicPlace {
    /// Stores a place. Relaxed, because the place itself is part of the program and was never written.
    #[inline]
    pub(crate) fn set(&self, place: Option<&'static Location<'static>>) {
        let pointer = place.map_or(ptr::null(), ptr::from_ref);
        self.0.store(pointer.cast_mut(), Ordering::Relaxed);
    }

    /// Returns the place that was stored last.
    pub(crate) fn get(&self) -> Option<&'static Location<'static>> {
        let pointer = self.0.load(Ordering::Relaxed);
        // SAFETY: the pointer is null or was made by `set` from a `&'static`, and nothing writes through it.
        unsafe { pointer.cast_const().as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_that_which_was_stored_last() {
        let cell = AtomicPlace::default();
        assert_eq!(cell.get(), None);
        let here = Location::caller();
        cell.set(Some(here));
        assert_eq!(cell.get(), Some(here));
        cell.set(None);
        assert_eq!(cell.get(), None);
    }
}
