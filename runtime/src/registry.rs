//! Table of the runtimes that are alive, by index and by id, for every thread.
//!
//! Called by wakers and handles off their runtime's thread, through [`crate::context`]. A waker has
//! room for 16 bits of runtime: an index into this table. The next runtime reuses the index of one
//! that has ended. So each wake of an older waker can poll a task of another runtime without a reason,
//! which every future has to accept. Handles compare the whole [`RuntimeId`].

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use crate::id::RuntimeId;
use crate::inbox::Shared;

struct Registry {
    slots: Vec<Option<Arc<Shared>>>,
    /// Number of runtimes that were ever registered.
    serial: u64,
}

/// Read by every wake from another thread; written when a runtime starts or ends. No user code runs
/// under this lock.
static REGISTRY: RwLock<Registry> = RwLock::new(Registry {
    slots: Vec::new(),
    serial: 0,
});

/// Opens a runtime's [`Shared`] and stores it at a free index.
///
/// # Errors
///
/// The errors of [`Shared::open`]; an error when 65,536 runtimes are alive.
pub(crate) fn register() -> io::Result<Arc<Shared>> {
    let mut registry = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    let free = registry.slots.iter().position(Option::is_none);
    let position = free.unwrap_or(registry.slots.len());
    let index = u16::try_from(position).map_err(|_| {
        io::Error::other(
            "building a Wakeful runtime: 65,536 of them are alive in this process, which is the \
             limit; drop one first",
        )
    })?;
    registry.serial += 1;
    let shared = Arc::new(Shared::open(RuntimeId::new(registry.serial, index))?);
    match registry.slots.get_mut(position) {
        Some(slot) => *slot = Some(Arc::clone(&shared)),
        None => registry.slots.push(Some(Arc::clone(&shared))),
    }
    Ok(shared)
}

/// Removes a runtime. Its id is never found again; its index is reused.
pub(crate) fn unregister(id: RuntimeId) {
    let mut registry = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    let slot = registry.slots.get_mut(usize::from(id.index()));
    let shared = slot.and_then(|slot| slot.take_if(|shared| shared.id() == id));
    drop(registry);
    drop(shared);
}

/// Returns the runtime that has this index now.
pub(crate) fn get(index: u16) -> Option<Arc<Shared>> {
    let registry = REGISTRY.read().unwrap_or_else(PoisonError::into_inner);
    registry.slots.get(usize::from(index)).cloned().flatten()
}

/// Returns the runtime with this id, if it is alive.
pub(crate) fn find(id: RuntimeId) -> Option<Arc<Shared>> {
    get(id.index()).filter(|shared| shared.id() == id)
}
