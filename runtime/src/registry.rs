//! Which runtimes are alive, so that a number can find its own from any thread.
//!
//! Called by wakers and handles off their runtime's thread, through [`crate::context`]. A waker has
//! room for 16 bits of runtime; those are a place in this table. The place of a runtime that has
//! ended is given to the next one: a waker that is older than that wakes a stranger's task, once,
//! for nothing, which every future has to bear. Handles compare the whole [`RuntimeId`].

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use crate::id::RuntimeId;
use crate::inbox::Remote;

struct Registry {
    places: Vec<Option<Arc<Remote>>>,
    /// How many runtimes there have ever been.
    serial: u64,
}

/// Read on every wake from another thread, written when a runtime begins or ends. Only our own code
/// runs under it.
static REGISTRY: RwLock<Registry> = RwLock::new(Registry {
    places: Vec::new(),
    serial: 0,
});

/// Opens a runtime's [`Remote`] and gives it a place.
///
/// # Errors
///
/// What opening its descriptors gives; or that 65,536 runtimes are alive.
pub(crate) fn register() -> io::Result<Arc<Remote>> {
    let mut registry = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    let free = registry.places.iter().position(Option::is_none);
    let index = free.unwrap_or(registry.places.len());
    let place = u16::try_from(index)
        .map_err(|_| io::Error::other("65,536 Wakeful runtimes are alive in this process"))?;
    registry.serial += 1;
    let remote = Arc::new(Remote::open(RuntimeId::new(registry.serial, place))?);
    match registry.places.get_mut(index) {
        Some(vacant) => *vacant = Some(Arc::clone(&remote)),
        None => registry.places.push(Some(Arc::clone(&remote))),
    }
    Ok(remote)
}

/// Gives the place back. Its id will not be found again.
pub(crate) fn unregister(id: RuntimeId) {
    let mut registry = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    let place = registry.places.get_mut(usize::from(id.index()));
    let remote = place.and_then(|place| place.take_if(|remote| remote.id() == id));
    drop(registry);
    drop(remote);
}

/// Whoever has the place now.
pub(crate) fn at(place: u16) -> Option<Arc<Remote>> {
    let registry = REGISTRY.read().unwrap_or_else(PoisonError::into_inner);
    registry.places.get(usize::from(place)).cloned().flatten()
}

/// The runtime with this id, while it lives.
pub(crate) fn find(id: RuntimeId) -> Option<Arc<Remote>> {
    at(id.index()).filter(|remote| remote.id() == id)
}
