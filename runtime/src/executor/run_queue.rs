//! The run queue: which task is polled next.
//!
//! Used by the task table alone. A task is in the queue at most once (I2), so one link in its row is
//! enough and the queue allocates nothing. It is first in, first out, so no task waits behind one that
//! was woken later.
//!
//! Deferred tasks are in a second list until the reactor's next turn. So a task that yields is polled
//! after those that the turn wakes.
//!
//! With a seed the next task is chosen at random and reproducibly, and a tick can end before the queue is
//! empty. Otherwise tasks that yield would stay in step, because none is polled twice in a tick. Tests use
//! it to try many orders and to repeat the one that failed. An installed kernel can choose instead.
//!
//! Rejected: a vector of keys. It needs more instructions per push and pop (docs/TRIED.md), its memory
//! grows with the longest queue so far, and it contains keys of tasks that have ended.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::hint::black_box;

use crate::kernel::{self, Choice};
use crate::random::SplitMix64;
use crate::table::{NONE, Row, Table};

/// A list of rows, linked by index.
#[derive(Debug)]
struct List {
    /// The first row, or [`NONE`].
    head: Cell<u32>,
    /// The last row; stale while the list is empty.
    tail: Cell<u32>,
}

impl List {
    fn new() -> Self {
        List {
            head: Cell::new(NONE),
            tail: Cell::new(NONE),
        }
    }

    fn is_empty(&self) -> bool {
        self.head.get() == NONE
    }

    /// Appends the rows from `first` to `last`, which are linked already.
    #[inline]
    fn append<T: Default>(&self, rows: &Table<T>, first: u32, last: u32) {
        let tail = self.tail.replace(last);
        if self.is_empty() {
            self.head.set(first);
        } else if let Some(tail) = rows.row(tail) {
            tail.next().set(first);
        }
    }

    /// Takes out a row, wherever it is in the list.
    fn remove<T: Default>(&self, rows: &Table<T>, index: u32) {
        let (mut before, mut at) = (NONE, self.head.get());
        while let Some(row) = rows.row(at)
            && at != index
        {
            (before, at) = (at, row.next().get());
        }
        let Some(row) = rows.row(at) else {
            return;
        };
        let next = row.next().replace(NONE);
        match rows.row(before) {
            Some(before) => before.next().set(next),
            None => self.head.set(next),
        }
        if next == NONE {
            self.tail.set(before);
        }
    }
}

/// The queue. Its methods take the table whose rows it links.
#[derive(Debug)]
pub(super) struct RunQueue {
    ready: List,
    /// Appended to `ready` after the next turn.
    deferred: List,
    /// The rows to choose from, which are in no list. `None` if the order is first in, first out.
    shuffle: Option<RefCell<Shuffle>>,
}

#[derive(Debug)]
struct Shuffle {
    chooser: Chooser,
    rows: VecDeque<u32>,
}

/// What makes the choices.
#[derive(Debug)]
enum Chooser {
    Seed(SplitMix64),
    /// The kernel that is installed on this thread.
    Kernel,
}

impl Chooser {
    fn new(rng_seed: Option<u64>) -> Option<Self> {
        let kernel = if kernel::any() {
            kernel::current()
        } else {
            None
        };
        if kernel.is_some_and(|kernel| kernel.chooses()) {
            Some(Chooser::Kernel)
        } else {
            rng_seed.map(|seed| Chooser::Seed(SplitMix64(seed)))
        }
    }

    /// Returns whether the tick ends here.
    fn ends_tick(&mut self) -> bool {
        match self {
            Chooser::Seed(random) => random.next().is_multiple_of(4),
            Chooser::Kernel => ask_kernel(Choice::EndTick, 2) == 1,
        }
    }

    /// Returns which of `count` rows is next.
    fn next(&mut self, count: usize) -> usize {
        match self {
            _ if count <= 1 => 0,
            Chooser::Seed(random) => (random.next() % count as u64) as usize,
            Chooser::Kernel => ask_kernel(Choice::NextTask, count as u32) as usize,
        }
    }
}

/// Returns the kernel's choice, and 0 if the kernel was removed before the runtime.
fn ask_kernel(choice: Choice, of: u32) -> u32 {
    kernel::current().map_or(0, |kernel| kernel.choose(choice, of).min(of - 1))
}

impl RunQueue {
    pub(super) fn new(rng_seed: Option<u64>) -> Self {
        let shuffle = |chooser| {
            RefCell::new(Shuffle {
                chooser,
                rows: VecDeque::new(),
            })
        };
        RunQueue {
            ready: List::new(),
            deferred: List::new(),
            shuffle: Chooser::new(rng_seed).map(shuffle),
        }
    }

    /// Appends a row that is in no list.
    #[inline]
    pub(super) fn push<T: Default>(&self, rows: &Table<T>, index: u32) {
        self.ready.append(rows, index, index);
    }

    /// Prepends a row that is in no list.
    pub(super) fn push_front<T: Default>(&self, rows: &Table<T>, index: u32) {
        if self.ready.is_empty() {
            self.push(rows, index);
        } else if let Some(row) = rows.row(index) {
            row.next().set(self.ready.head.replace(index));
        }
    }

    /// Appends a row that is in no list to the deferred ones.
    #[inline]
    pub(super) fn push_deferred<T: Default>(&self, rows: &Table<T>, index: u32) {
        self.deferred.append(rows, index, index);
    }

    /// Takes out the next row. Its link is [`NONE`] then. Returns `None` if none is ready, or if the tick
    /// was chosen to end.
    #[inline]
    pub(super) fn pop<'a, T: Default>(&self, rows: &'a Table<T>) -> Option<(u32, &'a Row<T>)> {
        if let Some(shuffle) = &self.shuffle {
            self.choose(&mut shuffle.borrow_mut(), rows);
        }
        let index = self.ready.head.get();
        let row = rows.row(index)?;
        let next = row.next().replace(NONE);
        self.ready.head.set(next);
        // Loads the next row into the cache during this task's poll (docs/TRIED.md, "look-ahead").
        if next != NONE
            && let Some(next) = rows.row(next)
        {
            black_box(next.next().get());
        }
        Some((index, row))
    }

    /// Chooses one of all ready rows, which is then the only one in the list. Leaves the list empty if the
    /// tick is to end.
    #[cold]
    fn choose<T: Default>(&self, shuffle: &mut Shuffle, rows: &Table<T>) {
        let mut index = self.ready.head.replace(NONE);
        while let Some(row) = rows.row(index) {
            shuffle.rows.push_back(index);
            index = row.next().replace(NONE);
        }
        if !shuffle.rows.is_empty() && !shuffle.chooser.ends_tick() {
            let chosen = shuffle.chooser.next(shuffle.rows.len());
            if let Some(index) = shuffle.rows.remove(chosen) {
                self.push(rows, index);
            }
        }
    }

    /// Appends the deferred rows; called after each turn.
    #[inline]
    pub(super) fn requeue_deferred<T: Default>(&self, rows: &Table<T>) {
        let first = self.deferred.head.replace(NONE);
        if first != NONE {
            self.ready.append(rows, first, self.deferred.tail.get());
        }
    }

    /// Takes out a row, wherever it is. Walks the lists.
    #[cold]
    pub(super) fn remove<T: Default>(&self, rows: &Table<T>, index: u32) {
        self.ready.remove(rows, index);
        self.deferred.remove(rows, index);
        if let Some(shuffle) = &self.shuffle {
            shuffle.borrow_mut().rows.retain(|row| *row != index);
        }
    }

    /// Returns the number of rows for which `counts` returns true, up to `limit`, because the lists are walked.
    #[cold]
    pub(super) fn len<T: Default>(
        &self,
        rows: &Table<T>,
        limit: u32,
        counts: impl Fn(&T) -> bool,
    ) -> u32 {
        let counts = |index: u32| rows.row(index).is_some_and(|row| counts(row));
        let shuffled = |shuffle: &RefCell<Shuffle>| {
            let shuffle = shuffle.borrow();
            let rows = shuffle.rows.iter().filter(|index| counts(**index));
            rows.count() as u32
        };
        let mut count = self.shuffle.as_ref().map_or(0, shuffled);
        for list in [&self.ready, &self.deferred] {
            let mut at = list.head.get();
            while count < limit
                && let Some(row) = rows.row(at)
            {
                count += u32::from(counts(at));
                at = row.next().get();
            }
        }
        count.min(limit)
    }

    /// Returns whether no row is queued, deferred ones included.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        let shuffled = || {
            self.shuffle
                .as_ref()
                .is_some_and(|shuffle| !shuffle.borrow().rows.is_empty())
        };
        self.ready.is_empty() && self.deferred.is_empty() && !shuffled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table with `count` rows that are in no list.
    fn table(count: usize) -> Table<()> {
        let rows = Table::new();
        for _ in 0..count {
            let _row = rows.take();
        }
        rows
    }

    fn order(seed: Option<u64>) -> Vec<u32> {
        let (queue, rows) = (RunQueue::new(seed), table(20));
        for index in 0..20 {
            queue.push(&rows, index);
        }
        let mut order = Vec::new();
        while !queue.is_empty() {
            // `None` ends a tick.
            order.extend(queue.pop(&rows).map(|(index, _)| index));
        }
        let links = (0..20).map(|index| rows.row(index).unwrap().next().get());
        assert!(
            links.into_iter().all(|link| link == NONE),
            "a row in no list has no link"
        );
        order
    }

    #[test]
    fn without_a_seed_the_order_is_first_in_first_out() {
        assert_eq!(order(None), (0..20).collect::<Vec<u32>>());
    }

    #[test]
    fn the_same_seed_gives_the_same_order() {
        assert_ne!(order(Some(1)), order(None));
        assert_ne!(order(Some(1)), order(Some(2)));
        assert_eq!(order(Some(1)), order(Some(1)));
        let mut sorted = order(Some(1));
        sorted.sort_unstable();
        assert_eq!(sorted, order(None), "no row is lost and none comes twice");
    }

    #[test]
    fn a_removed_row_leaves_the_others_in_order() {
        for removed in 0..6 {
            let (queue, rows) = (RunQueue::new(None), table(7));
            (0..3).for_each(|index| queue.push(&rows, index));
            (3..6).for_each(|index| queue.push_deferred(&rows, index));
            queue.remove(&rows, removed);
            assert_eq!(rows.row(removed).unwrap().next().get(), NONE);
            queue.remove(&rows, removed);
            queue.requeue_deferred(&rows);
            queue.push(&rows, 6);
            let order = std::iter::from_fn(|| queue.pop(&rows).map(|(index, _)| index));
            let expected = (0..7).filter(|index| *index != removed);
            assert_eq!(order.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_deferred_row_waits_for_the_turn() {
        let (queue, rows) = (RunQueue::new(None), table(5));
        let pop = || queue.pop(&rows).map(|(index, _)| index);
        queue.push_deferred(&rows, 1);
        queue.push_deferred(&rows, 3);
        queue.push(&rows, 2);
        assert_eq!(pop(), Some(2));
        assert_eq!(pop(), None);
        assert!(!queue.is_empty());
        queue.push(&rows, 0);
        queue.requeue_deferred(&rows);
        assert_eq!(pop(), Some(0));
        queue.push(&rows, 2);
        queue.push_front(&rows, 4);
        assert_eq!(pop(), Some(4));
        assert_eq!(pop(), Some(1));
        assert_eq!(pop(), Some(3));
        assert_eq!(pop(), Some(2));
        assert!(queue.is_empty());
        queue.push_front(&rows, 0);
        assert_eq!(pop(), Some(0));
    }
}
