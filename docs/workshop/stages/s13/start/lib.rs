//! A table whose keys are numbers. A key identifies one value, also after the value has left.

/// Counts the values that a row has had. One byte, so that a check can use them up.
type Generation = u8;

/// Identifies a value of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    index: u32,
    generation: Generation,
}

impl Key {
    /// Returns the key as one number. It fits into a waker, or into a token of epoll.
    pub fn to_u64(self) -> u64 {
        todo!("13.1: the generation in the upper half, the index in the lower")
    }

    /// Returns the key of a number.
    pub fn from_u64(number: u64) -> Key {
        todo!("13.2: the same, backwards")
    }
}

/// A place for a value.
struct Row<T> {
    generation: Generation,
    value: Option<T>,
}

/// Values under keys.
pub struct Table<T> {
    rows: Vec<Row<T>>,
    /// The rows that can be given to a new value.
    vacant: Vec<u32>,
}

impl<T> Table<T> {
    /// Returns a table without values.
    pub fn new() -> Table<T> {
        Table { rows: Vec::new(), vacant: Vec::new() }
    }

    /// Returns the number of rows, vacant ones included.
    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// Stores a value and returns its key.
    pub fn insert(&mut self, value: T) -> Key {
        todo!("13.3: use a vacant row, or add one")
    }

    /// Returns the value of a key, if it is still there.
    pub fn get(&self, key: Key) -> Option<&T> {
        todo!("13.4: the value, if the key is not stale")
    }

    /// Removes the value of a key, if it is still there.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        todo!("13.5: the value, if the key is not stale; raise the generation")
    }
}
