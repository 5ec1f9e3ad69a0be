//! What is kept: keys and values of any bytes, up to a limit.

use std::collections::HashMap;

/// How many bytes of keys and values there may be.
const MOST: usize = 64 << 20;

/// What an entry costs beside its bytes, about; so that many small ones count, too.
const ENTRY: usize = 64;

/// There is no room for the value; nothing was changed.
#[derive(Debug, PartialEq)]
pub(crate) struct Full;

/// Keys and their values.
#[derive(Default)]
pub(crate) struct Store {
    entries: HashMap<Vec<u8>, Vec<u8>>,
    /// The sum of [`size`] over the entries.
    bytes: usize,
}

fn size(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY
}

impl Store {
    pub(crate) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.entries.get(key).map(Vec::as_slice)
    }

    pub(crate) fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Full> {
        let old = self.get(key).map_or(0, |old| size(key, old));
        let bytes = self.bytes - old + size(key, value);
        if bytes > MOST {
            return Err(Full);
        }
        self.entries.insert(key.to_vec(), value.to_vec());
        self.bytes = bytes;
        Ok(())
    }

    pub(crate) fn delete(&mut self, key: &[u8]) -> bool {
        let Some(old) = self.entries.remove(key) else {
            return false;
        };
        self.bytes -= size(key, &old);
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_full_store_refuses_and_takes_again_after_a_deletion() {
        let mut store = Store::default();
        let value = vec![0; 1 << 20];
        let mut stored = 0_u32;
        while store.set(&stored.to_be_bytes(), &value).is_ok() {
            stored += 1;
        }
        assert_eq!(stored, 63);
        // The old value's room counts when it is replaced.
        store.set(&0_u32.to_be_bytes(), &value).unwrap();
        assert!(store.delete(&0_u32.to_be_bytes()));
        assert!(!store.delete(&0_u32.to_be_bytes()));
        store.set(b"other", &value).unwrap();
        assert_eq!(store.set(b"more", &value), Err(Full));
        assert_eq!(store.get(b"more"), None);
    }
}
