//! The numbers that identify runtimes and tasks, and the one that a `Waker` carries.
//!
//! Three sizes, each as exact as its use requires:
//!
//! ```text
//!  RuntimeId   64 bits  serial : 48 | index in the registry : 16           never reused
//!  Id         128 bits  RuntimeId | row : 32 | generation : 32             never reused
//!  WakerData   64 bits  generation : 16 | registry index : 16 | row : 32   can be reused
//! ```
//!
//! A stale `WakerData` causes at worst a spurious poll, which every future has to accept. So it can
//! be short enough for the data pointer of a `Waker`. Aborting or joining the wrong task would do
//! harm, so handles carry the full `Id`.
//!
//! A `Waker` is a data pointer and a table of four functions. Here the pointer points nowhere: its
//! bits are the `WakerData`. Cloning copies a word, dropping does nothing, waking looks the task up.
//! There is no reference count and no lifetime, and this crate needs one `unsafe` expression outside
//! of its system calls: the one in [`WakerData::to_waker`].
//!
//! Source: `std::task::RawWaker`, which requires that the functions can be called from any thread
//! and at any time.

use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU64;
use std::ptr;
use std::task::{RawWakerVTable, Waker};

use crate::table::Key;

/// Identifies one runtime, forever. The low 16 bits are its index in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RuntimeId(NonZeroU64);

impl RuntimeId {
    /// Packs the two numbers. Serial numbers begin with one, so that an `Option<RuntimeId>` takes 64
    /// bits.
    pub(crate) fn new(serial: u64, index: u16) -> Self {
        let bits = NonZeroU64::new(serial << 16 | u64::from(index));
        RuntimeId(bits.expect("serial numbers begin with one"))
    }

    /// Returns the index of this runtime's entry in the registry.
    #[inline]
    pub(crate) fn index(self) -> u16 {
        self.0.get() as u16
    }

    /// Returns the serial number.
    pub(crate) fn serial(self) -> u64 {
        self.0.get() >> 16
    }

    /// Returns whether this is the runtime that is entered on this thread.
    #[inline]
    pub(crate) fn is_current(self) -> bool {
        CURRENT.get() == Some(self)
    }

    /// Sets the runtime whose `block_on` this thread runs.
    pub(crate) fn set_looping(id: Option<RuntimeId>) {
        LOOPING.set(id);
    }

    /// Returns whether this thread runs the `block_on` of another runtime.
    pub(crate) fn is_another_looping(self) -> bool {
        LOOPING.get().is_some_and(|id| id != self)
    }

    /// Sets the runtime that is entered on this thread; see [`crate::context`].
    pub(crate) fn set_current(id: Option<RuntimeId>) {
        CURRENT.set(id);
    }
}

thread_local! {
    /// The id of the runtime that is entered on this thread, for a comparison that needs one load.
    static CURRENT: Cell<Option<RuntimeId>> = const { Cell::new(None) };

    /// The id of the runtime whose `block_on` this thread runs.
    static LOOPING: Cell<Option<RuntimeId>> = const { Cell::new(None) };
}

/// Identifies one task. No other task of this process has had the same id or will have it.
///
/// Displayed as `row.generation`: `3.0` is the first task in row 3 of its runtime's task table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    pub(crate) runtime: RuntimeId,
    pub(crate) key: Key,
}

impl Id {
    /// Returns the id for a task that was not spawned because its runtime is ending. It identifies
    /// nothing, because no table has a row with the last index.
    pub(crate) fn of_no_task(runtime: RuntimeId) -> Self {
        let key = Key::new(u32::MAX, u32::MAX);
        Id { runtime, key }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.key.index(), self.key.generation())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

// The bits of a `WakerData` are stored in a pointer.
const _: () = assert!(size_of::<*const ()>() == size_of::<u64>());

/// The function tables of this crate's wakers.
pub(crate) struct VTables {
    pub(crate) plain: RawWakerVTable,
    /// The table of wakers whose clones are counted; see [`crate::waker_counts`].
    pub(crate) counted: RawWakerVTable,
}

/// The data of one of this crate's wakers: which task of which runtime to poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WakerData(u64);

impl WakerData {
    /// The data that identifies no task, because no table has a row with this index.
    pub(crate) const NONE: WakerData = WakerData(u32::MAX as u64);

    #[inline]
    pub(crate) fn new(runtime: RuntimeId, key: Key) -> Self {
        let generation = u64::from(key.generation() as u16);
        let runtime = u64::from(runtime.index());
        WakerData(generation << 48 | runtime << 32 | u64::from(key.index()))
    }

    /// Builds the waker. `vtable` is one of `context::VTABLES`, which is defined above this module because
    /// its functions look up the current runtime.
    #[inline]
    #[expect(
        unsafe_code,
        reason = "the one line that builds a Waker from its function table"
    )]
    pub(crate) fn to_waker(self, vtable: &'static RawWakerVTable) -> Waker {
        // SAFETY: `vtable` is one of `context::VTABLES`, the only ones that callers pass. Their functions never
        // follow the pointer. They only read its bits, which are a plain integer, so they are sound on
        // every thread, at any time, in any order and number.
        unsafe { Waker::new(ptr::without_provenance(self.0 as usize), vtable) }
    }

    /// Returns the data of a waker that has this table; `None` for an external waker.
    #[inline]
    pub(crate) fn from_waker(waker: &Waker, vtable: &'static RawWakerVTable) -> Option<Self> {
        ptr::eq(waker.vtable(), vtable).then(|| Self::from_pointer(waker.data()))
    }

    /// Returns the data of a waker of this crate, counted or not; `None` for an external waker.
    #[inline]
    pub(crate) fn of(waker: &Waker, vtables: &'static VTables) -> Option<Self> {
        Self::from_waker(waker, &vtables.plain).or_else(|| Self::of_counted(waker, vtables))
    }

    #[cold]
    fn of_counted(waker: &Waker, vtables: &'static VTables) -> Option<Self> {
        Self::from_waker(waker, &vtables.counted)
    }

    #[inline]
    pub(crate) fn from_pointer(data: *const ()) -> Self {
        WakerData(data.addr() as u64)
    }

    /// Returns the registry index of the runtime that owns the task.
    #[inline]
    pub(crate) fn runtime_index(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// Returns the part of the generation that a waker has.
    #[inline]
    pub(crate) fn generation(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// Returns the row of the task.
    #[inline]
    pub(crate) fn row(self) -> u32 {
        self.0 as u32
    }
}

/// Identifies one waiter of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WaiterId(NonZeroU64);

impl WaiterId {
    /// The id of a `poll_*` function that was called with an external waker.
    pub(crate) const EXTERNAL: WaiterId = WaiterId(NonZeroU64::MAX);

    /// The upper bound of the ids of operations.
    pub(crate) const OPERATIONS_END: WaiterId = WaiterId(NonZeroU64::new(Self::TASK).unwrap());

    const TASK: u64 = 1 << 63;

    /// Returns the id of a future that waits. A runtime gives no number twice.
    #[inline]
    pub(crate) fn operation(number: NonZeroU64) -> Self {
        WaiterId(number)
    }

    /// Returns the id of a `poll_*` function that was called by a task. The generation is left out, so
    /// that the next task in the same row replaces the waker of the one that has ended.
    #[inline]
    pub(crate) fn task(data: WakerData) -> Self {
        let runtime_and_row = data.0 & ((1 << 48) - 1);
        WaiterId(Self::OPERATIONS_END.0 | runtime_and_row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waker_data_returns_what_was_packed() {
        let runtime = RuntimeId::new(9, 0xfedc);
        let data = WakerData::new(runtime, Key::new(0x9abc_def0, 0x1_0007));
        assert_eq!(data.runtime_index(), 0xfedc);
        assert_eq!(data.row(), 0x9abc_def0);
        let same_low_bits = WakerData::new(runtime, Key::new(0x9abc_def0, 7));
        assert_eq!(data, same_low_bits, "16 bits of the generation are kept");
        assert_ne!(data, WakerData::new(runtime, Key::new(0x9abc_def0, 8)));
    }
}
