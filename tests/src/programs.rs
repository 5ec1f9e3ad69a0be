//! Programs whose every step is drawn from bytes, each checked against a model.
//!
//! The tests `random_tasks`, `random_timers`, `random_descriptors` and `random_datagrams` draw them from
//! random bytes with a fixed seed. The fuzz targets in `tests/fuzz` draw them from bytes that a fuzzer
//! mutates, and what a fuzzer kept, in `tests/fuzz/corpus`, is run again by the test `fuzz_corpus`.

pub mod datagrams;
pub mod descriptors;
pub mod tasks;
pub mod timers;

/// The bytes that decide the steps of a program.
#[derive(Clone, Debug)]
pub struct Choices {
    bytes: Vec<u8>,
    used: usize,
}

impl Choices {
    /// Draws from these bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let bytes = bytes.to_vec();
        Choices { bytes, used: 0 }
    }

    /// Returns whether every byte was drawn. From then on every choice is 0.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.used >= self.bytes.len()
    }

    /// Returns a number below `count`, which is at most 65,536; 0 if `count` is 0 or 1.
    pub fn below(&mut self, count: usize) -> usize {
        match count {
            0 | 1 => 0,
            2..=256 => usize::from(self.byte()) % count,
            _ => usize::from(u16::from_le_bytes([self.byte(), self.byte()])) % count,
        }
    }

    /// Returns a number of 64 bits.
    pub fn number(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.used).copied().unwrap_or(0);
        self.used += 1;
        byte
    }
}

/// Returns `length` random bytes; the same ones for the same seed.
#[must_use]
pub fn random_bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| rng.u8(..)).take(length).collect()
}
