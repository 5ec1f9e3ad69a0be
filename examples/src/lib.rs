//! What the example programs share: how they take an address.
//!
//! The programs themselves are the files beside this folder; each begins with the commands to try
//! it.

/// The address given as the program's `n`th argument (from 1), or else `default`.
#[must_use]
pub fn address(n: usize, default: &str) -> String {
    std::env::args()
        .nth(n)
        .unwrap_or_else(|| default.to_owned())
}
