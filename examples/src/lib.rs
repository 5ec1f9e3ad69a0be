//! What the example programs share: how they take an address, and how they end.
//!
//! The programs themselves are the files beside this folder; each begins with the commands to try
//! it.

use std::io;
use std::process::ExitCode;

/// The address given as the program's `n`th argument (from 1), or else `default`.
#[must_use]
pub fn address(n: usize, default: &str) -> String {
    std::env::args()
        .nth(n)
        .unwrap_or_else(|| default.to_owned())
}

/// What `main` returns: an error is said in one line of plain words, where `main` itself would print
/// it with all its fields.
#[must_use]
pub fn finish(outcome: io::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
