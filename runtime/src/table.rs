//! Rows at stable addresses, found by number: how the runtime stores tasks, sources and timers.
//!
//! User code holds a [`Key`]: the index of a row and the generation that the row had when it was
//! taken. Releasing a row raises its generation, so an old key finds nothing instead of the row's
//! next occupant.
//!
//! ```text
//!  take                release
//!    |                   |
//!    v                   v
//!  occupied, gen 7 --> vacant, gen 8 --> occupied, gen 8 --> ...
//!                        |
//!                        +-- last generation: retired, never taken again
//! ```
//!
//! A row never moves and its fields are [`Cell`]s. So a reference to it can be held while user code
//! runs and while other rows are taken: there is no borrow that could be held too long.
//!
//! Rows are allocated in chunks of 64. The first 64 chunks are found in one array, the others in
//! segments, each twice as long as the one before. So growing copies nothing, and finding a row takes
//! two loads, or three:
//!
//! ```text
//!  near       [64 rows] [64 rows] ... [64 rows]        rows 0..4096
//!  far [0]    [64 rows] ... 64 chunks                  rows 4096..8192
//!  far [1]    [64 rows] ... 128 chunks                 rows 8192..16384
//!  ...
//! ```
//!
//! The vacant list is last in, first out, because the row that was released last is still in the
//! cache. A row whose 32-bit generation is used up is retired, so a key is exact for the life of the
//! process. All rows are freed with the table.
//!
//! Rejected: a pointer as the key, because following a stale one is undefined behavior
//! (RUSTSEC-2024-0019); the `slab` crate, because its keys carry no generation; a growing vector,
//! because its rows move, so every access needs a `RefCell` (docs/TRIED.md has the figures).

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::ops::Deref;

/// Identifies one occupant of a [`Table`], forever.
///
/// One word and not two halves: see docs/TRIED.md, "keys as one word".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(u64);

impl Key {
    #[inline]
    pub(crate) const fn new(index: u32, generation: u32) -> Self {
        Key((index as u64) << 32 | generation as u64)
    }

    #[inline]
    pub(crate) const fn index(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline]
    pub(crate) const fn generation(self) -> u32 {
        self.0 as u32
    }

    /// Converts the key into the token that epoll stores for a source.
    #[inline]
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// The inverse of [`to_bits`](Self::to_bits).
    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Key(bits)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}.{})", self.index(), self.generation())
    }
}

/// The end of a list of rows. No row has this index.
pub(crate) const NONE: u32 = u32::MAX;

/// Rows per allocation. The rows of a new chunk are taken in order, the first one first.
pub(crate) const CHUNK: usize = 64;

/// Chunks in the near array.
const NEAR: usize = 64;

/// Segments of far chunks: enough for all indices below 2^31.
const SEGMENTS: usize = 19;

type Chunk<T> = OnceCell<Box<[Row<T>; CHUNK]>>;

/// A row: the user of the table owns `value`, the table owns the rest.
pub(crate) struct Row<T> {
    value: T,
    /// The next row of the list that contains this one, or [`NONE`]. A vacant row is in the table's
    /// vacant list; for an occupied row the user of the table decides.
    next: Cell<u32>,
    generation: Cell<u32>,
}

impl<T> Row<T> {
    #[inline]
    pub(crate) fn next(&self) -> &Cell<u32> {
        &self.next
    }

    #[inline]
    pub(crate) fn generation(&self) -> u32 {
        self.generation.get()
    }
}

impl<T> Deref for Row<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

pub(crate) struct Table<T> {
    near: [Chunk<T>; NEAR],
    far: [OnceCell<Box<[Chunk<T>]>>; SEGMENTS],
    /// The number of rows allocated so far, vacant ones included.
    made: Cell<u32>,
    /// The number of occupied rows.
    occupied: Cell<usize>,
    /// The row released last, or [`NONE`].
    vacant: Cell<u32>,
}

impl<T: Default> Table<T> {
    pub(crate) fn new() -> Self {
        Table {
            near: [const { OnceCell::new() }; NEAR],
            far: [const { OnceCell::new() }; SEGMENTS],
            made: Cell::new(0),
            occupied: Cell::new(0),
            vacant: Cell::new(NONE),
        }
    }

    /// Returns the row with this index, occupied or not.
    #[inline]
    pub(crate) fn row(&self, index: u32) -> Option<&Row<T>> {
        let number = index as usize / CHUNK;
        let chunk = match self.near.get(number) {
            Some(chunk) => chunk.get()?,
            None => self.far_chunk(number)?,
        };
        Some(&chunk[index as usize % CHUNK])
    }

    // Not cold: a call that can be made needs registers saved, also where it is not made.
    #[inline]
    fn far_chunk(&self, number: usize) -> Option<&[Row<T>; CHUNK]> {
        let (segment, chunk) = position_of(number);
        let chunk = self.far.get(segment)?.get()?.get(chunk)?.get()?;
        Some(chunk)
    }

    /// Returns the row that `key` identifies; `None` if its occupant is gone.
    #[inline]
    pub(crate) fn find(&self, key: Key) -> Option<&Row<T>> {
        self.row(key.index())
            .filter(|row| row.generation.get() == key.generation())
    }

    /// Returns the key of the occupant of a row.
    #[inline]
    pub(crate) fn key(&self, index: u32) -> Option<Key> {
        self.row(index)
            .map(|row| Key::new(index, row.generation.get()))
    }

    /// Takes a row out of the vacant list. Its link is [`NONE`].
    ///
    /// # Panics
    ///
    /// When the table has 2^31 rows.
    #[inline]
    pub(crate) fn take(&self) -> (Key, &Row<T>) {
        let index = self.vacant.get();
        let (index, row) = match self.row(index) {
            Some(row) => (index, row),
            None => self.grow(),
        };
        self.vacant.set(row.next.replace(NONE));
        self.occupied.set(self.occupied.get() + 1);
        (Key::new(index, row.generation.get()), row)
    }

    /// Makes a row vacant. The row has to be in no list.
    #[inline]
    pub(crate) fn release(&self, index: u32, row: &Row<T>) {
        self.occupied.set(self.occupied.get() - 1);
        let generation = row.generation.get() + 1;
        row.generation.set(generation);
        // The last generation is never handed out: its row is retired.
        if generation < u32::MAX {
            row.next.set(self.vacant.replace(index));
        }
    }

    /// Allocates a chunk of rows and returns the first. The vacant list begins with it.
    #[cold]
    fn grow(&self) -> (u32, &Row<T>) {
        let first = self.made.get();
        let number = first as usize / CHUNK;
        let chunk = match self.near.get(number) {
            Some(chunk) => chunk,
            None => {
                let (segment, chunk) = position_of(number);
                let far = self.far.get(segment);
                let far = far.expect("a runtime holds at most 2^31 tasks, sources or timers each");
                let make = || (0..NEAR << segment).map(|_| OnceCell::new()).collect();
                &far.get_or_init(make)[chunk]
            }
        };
        let last = first + CHUNK as u32 - 1;
        let rows = (first..=last).map(|index| Row {
            value: T::default(),
            next: Cell::new(if index == last { NONE } else { index + 1 }),
            generation: Cell::new(0),
        });
        let rows: Box<[Row<T>]> = rows.collect();
        let rows = chunk.get_or_init(|| match rows.try_into() {
            Ok(rows) => rows,
            Err(_) => unreachable!("a chunk has {CHUNK} rows"),
        });
        self.made.set(last + 1);
        self.vacant.set(first);
        (first, &rows[0])
    }

    /// Returns the number of occupied rows.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.occupied.get()
    }

    /// Returns every row allocated so far, vacant ones included, with its index.
    pub(crate) fn rows(&self) -> impl DoubleEndedIterator<Item = (u32, &Row<T>)> {
        (0..self.made.get()).filter_map(|index| Some((index, self.row(index)?)))
    }
}

/// Returns the segment of a far chunk, and its index in the segment. Chunk 64 is the first of
/// segment 0, chunk 128 the first of segment 1.
#[inline]
fn position_of(number: usize) -> (usize, usize) {
    let log = number.ilog2();
    ((log - NEAR.ilog2()) as usize, number ^ 1 << log)
}

impl<T> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("made", &self.made)
            .field("occupied", &self.occupied)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_returns_what_was_packed() {
        let key = Key::new(0x1234_5678, 0x9abc_def0);
        let key = Key::from_bits(key.to_bits());
        assert_eq!((key.index(), key.generation()), (0x1234_5678, 0x9abc_def0));
        assert_eq!(format!("{:?}", Key::new(7, 3)), "Key(7.3)");
    }

    #[test]
    fn rows_do_not_move_while_the_table_grows() {
        let table = Table::<Cell<u32>>::new();
        let first: Vec<_> = (0..1000).map(|n| (n, table.take())).collect();
        first.iter().for_each(|(n, (_, row))| row.set(*n));
        for _ in 0..10_000 {
            let _ = table.take();
        }
        for (n, (key, row)) in first {
            assert_eq!(
                key.index(),
                n,
                "the lowest vacant row of a new chunk comes first"
            );
            assert!(std::ptr::eq(table.find(key).unwrap(), row));
            assert_eq!(row.get(), n);
        }
        assert_eq!(table.len(), 11_000);
        assert!(table.row(11_000 + CHUNK as u32).is_none());
        assert!(table.row(NONE).is_none());
    }

    #[test]
    fn the_row_released_last_is_taken_first() {
        let table = Table::<()>::new();
        let keys: Vec<Key> = (0..3).map(|_| table.take().0).collect();
        for key in &keys {
            table.release(key.index(), table.find(*key).unwrap());
        }
        assert_eq!(table.take().0, Key::new(2, 1));
        assert_eq!(table.take().0, Key::new(1, 1));
    }

    #[test]
    fn a_row_whose_generations_are_used_up_is_retired() {
        let table = Table::<()>::new();
        let (key, row) = table.take();
        row.generation.set(u32::MAX - 1);
        table.release(key.index(), row);
        assert_eq!(table.take().0, Key::new(1, 0));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Take,
        Release(usize),
        Find(usize),
    }

    proptest! {
        /// Compares the table with a map: a key finds its own value or nothing.
        #[test]
        fn a_stale_key_finds_nothing(steps in prop::collection::vec(prop_oneof![
            Just(Step::Take),
            any::<usize>().prop_map(Step::Release),
            any::<usize>().prop_map(Step::Find),
        ], 0..200)) {
            let table = Table::<Cell<usize>>::new();
            let (mut alive, mut keys) = (HashMap::new(), Vec::new());
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Take => {
                        let (key, row) = table.take();
                        row.set(number);
                        prop_assert!(alive.insert(key, number).is_none(), "{key:?} was given twice");
                        keys.push(key);
                    }
                    Step::Release(any) if !keys.is_empty() => {
                        let key = keys[any % keys.len()];
                        let found = table.find(key);
                        prop_assert_eq!(found.map(|row| row.get()), alive.remove(&key));
                        if let Some(row) = found {
                            table.release(key.index(), row);
                        }
                    }
                    Step::Find(any) if !keys.is_empty() => {
                        let key = keys[any % keys.len()];
                        let found = table.find(key).map(|row| row.get());
                        prop_assert_eq!(found, alive.get(&key).copied());
                    }
                    _ => {}
                }
                prop_assert_eq!(table.len(), alive.len());
            }
        }
    }
}
