//! Shared by the example programs: reading an address argument, and the exit code.
//!
//! The programs themselves are the files in the parent folder. Each begins with the commands to try
//! it.

use std::io;
use std::process::ExitCode;

/// Returns the program's `n`th argument (counted from 1), or `default` if it is missing.
#[must_use]
pub fn address(n: usize, default: &str) -> String {
    std::env::args()
        .nth(n)
        .unwrap_or_else(|| default.to_owned())
}

/// Converts the outcome of a program to its exit code and prints an error in one line.
///
/// An error returned from `main` itself would be printed in its `Debug` form, with all its fields.
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
