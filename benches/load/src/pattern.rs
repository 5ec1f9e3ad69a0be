//! The bytes that are sent, and what must come back.
//!
//! A connection sends the same endless stream of pseudo-random bytes, from a starting point of its
//! own; byte number `n` of it is known without having been kept. So a byte that is lost, doubled,
//! out of order, or another connection's is seen, and comparing costs one `memcmp`.

/// The stream repeats after so many bytes: a prime, so that no message size divides it.
const PERIOD: usize = 65_521;

/// The longest piece that can be had at once.
pub(crate) const LONGEST: usize = 256 * 1024;

/// The stream, written out far enough that every piece is contiguous.
pub(crate) struct Pattern(Vec<u8>);

impl Pattern {
    pub(crate) fn new() -> Pattern {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let period: Vec<u8> = (0..PERIOD)
            .map(|_| {
                // xorshift64: any sequence without a short period will do.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        Pattern(
            period
                .iter()
                .copied()
                .cycle()
                .take(PERIOD + LONGEST)
                .collect(),
        )
    }

    /// The bytes of connection `number` from `offset` on: `length` of them, [`LONGEST`] at most.
    pub(crate) fn piece(&self, number: usize, offset: u64, length: usize) -> &[u8] {
        let start = (offset as usize + number * 7919) % PERIOD;
        &self.0[start..][..length.min(LONGEST)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_the_same_bytes_however_the_stream_is_cut() {
        let pattern = Pattern::new();
        let whole = pattern.piece(3, 65_000, 2000).to_vec();
        let parts = [
            pattern.piece(3, 65_000, 700),
            pattern.piece(3, 65_700, 1300),
        ];
        assert_eq!(parts.concat(), whole);
    }

    #[test]
    fn neighbours_in_the_stream_and_among_connections_differ() {
        let pattern = Pattern::new();
        let bytes = pattern.piece(1, 1000, 64);
        assert_ne!(bytes, pattern.piece(1, 1001, 64));
        assert_ne!(bytes, pattern.piece(1, 1064, 64));
        assert_ne!(bytes, pattern.piece(2, 1000, 64));
    }
}
