//! The store: keys and values of any bytes, up to a limit.

use std::collections::HashMap;

/// Maximum size of all entries, in bytes.
const MAX_BYTES: usize = 64 << 20;

/// Approximate overhead of an entry in bytes, counted so that small entries are limited too.
const ENTRY_OVERHEAD: usize = 64;

/// Error of a `set` that would exceed the limit. The store is unchanged.
#[derive(Debug, PartialEq)]
pub(crate) struct Full;

/// Keys and their values.
#[derive(Default)]
pub(crate) struct Store {
    entries: HashMap<Vec<u8>, Vec<u8>>,
    /// Sum of [`size`] over the entries.
    bytes: usize,
}

fn size(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY_OVERHEAD
}

impl Store {
    pub(crate) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.entries.get(key).map(Vec::as_slice)
    }

    pub(crate) fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Full> {
        let old = self.get(key).map_or(0, |old| size(key, old));
        let bytes = self.bytes - old + size(key, value);
        if bytes > MAX_BYTES {
            return Err(Full);
        }
        self.entries.insert(key.to_vec(), value.to_vec());
        self.bytes = bytes;
        Ok(())
    }

    /// Removes `key` and returns whether it was present.
    pub(crate) fn delete(&mut self, key: &[u8]) -> bool {
        let Some(old) = self.entries.remove(key) else {
            return false;
        };
        self.bytes -= size(key, &old);
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_full_store_refuses_values_until_a_key_is_deleted() {
        let mut store = Store::default();
        let value = vec![0; 1 << 20];
        let mut stored = 0_u32;
        while store.set(&stored.to_be_bytes(), &value).is_ok() {
            stored += 1;
        }
        assert_eq!(stored, 63);
        // Replacing a value frees the size of the old one.
        store.set(&0_u32.to_be_bytes(), &value).unwrap();
        assert!(store.delete(&0_u32.to_be_bytes()));
        assert!(!store.delete(&0_u32.to_be_bytes()));
        store.set(b"other", &value).unwrap();
        assert_eq!(store.set(b"more", &value), Err(Full));
        assert_eq!(store.get(b"more"), None);
    }
}
