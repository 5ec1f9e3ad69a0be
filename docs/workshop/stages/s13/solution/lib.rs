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
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// Returns the key of a number.
    pub fn from_u64(number: u64) -> Key {
        Key { index: number as u32, generation: (number >> 32) as Generation }
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
        if let Some(index) = self.vacant.pop() {
            let row = &mut self.rows[index as usize];
            row.value = Some(value);
            return Key { index, generation: row.generation };
        }
        self.rows.push(Row { generation: 0, value: Some(value) });
        Key { index: self.rows.len() as u32 - 1, generation: 0 }
    }

    /// Returns the value of a key, if it is still there.
    pub fn get(&self, key: Key) -> Option<&T> {
        let row = self.rows.get(key.index as usize)?;
        if row.generation == key.generation { row.value.as_ref() } else { None }
    }

    /// Removes the value of a key, if it is still there.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let row = self.rows.get_mut(key.index as usize)?;
        if row.generation != key.generation {
            return None;
        }
        let value = row.value.take()?;
        // A row whose generations are used up is not used again.
        if let Some(next) = row.generation.checked_add(1) {
            row.generation = next;
            self.vacant.push(key.index);
        }
        Some(value)
    }
}
