//! The bytes that are sent, and that the server must echo.
//!
//! All connections send the same endless stream of pseudo-random bytes, each from its own offset.
//! Byte number `n` is known without being stored. A byte that is lost, duplicated, out of order or
//! from another connection is detected, and a comparison costs one `memcmp`.

/// Period of the stream in bytes: a prime, so that it is no multiple of a message size.
const PERIOD: usize = 65_521;

/// Length of the longest piece that [`Pattern::piece`] returns.
pub(crate) const LONGEST: usize = 256 * 1024;

/// The stream, stored so far that every piece is contiguous.
pub(crate) struct Pattern(Vec<u8>);

impl Pattern {
    pub(crate) fn new() -> Pattern {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let period: Vec<u8> = (0..PERIOD)
            .map(|_| {
                // xorshift64: any sequence without a short period is sufficient.
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

    /// Returns `length` bytes of connection `number` from `offset` on, at most [`LONGEST`].
    pub(crate) fn piece(&self, number: usize, offset: u64, length: usize) -> &[u8] {
        let start = (offset as usize + number * 7919) % PERIOD;
        &self.0[start..][..length.min(LONGEST)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_do_not_depend_on_where_the_stream_is_cut() {
        let pattern = Pattern::new();
        let whole = pattern.piece(3, 65_000, 2000).to_vec();
        let parts = [
            pattern.piece(3, 65_000, 700),
            pattern.piece(3, 65_700, 1300),
        ];
        assert_eq!(parts.concat(), whole);
    }

    #[test]
    fn neighboring_pieces_and_connections_differ() {
        let pattern = Pattern::new();
        let bytes = pattern.piece(1, 1000, 64);
        assert_ne!(bytes, pattern.piece(1, 1001, 64));
        assert_ne!(bytes, pattern.piece(1, 1064, 64));
        assert_ne!(bytes, pattern.piece(2, 1000, 64));
    }
}
