//! Shared by the example programs: reading an address argument, usage errors, and the exit code.
//!
//! The programs themselves are the files in the parent folder. Each begins with the commands to try
//! it.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

/// Returns the program's `n`th argument (counted from 1), or `default` if it is missing.
#[must_use]
pub fn address(n: usize, default: &str) -> String {
    std::env::args()
        .nth(n)
        .unwrap_or_else(|| default.to_owned())
}

/// An error in the arguments.
#[derive(Debug)]
struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Usage {}

/// Returns an error for arguments that the program does not accept. `message` says what it accepts.
#[must_use]
pub fn usage(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, Usage(message.into()))
}

/// Converts the outcome of a program to its exit code (2 for [`usage`], 1 for other errors) and prints
/// an error in one line.
///
/// An error returned from `main` itself would be printed in its `Debug` form, with all its fields.
#[must_use]
pub fn finish(outcome: io::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let is_usage = error.get_ref().is_some_and(|error| error.is::<Usage>());
            ExitCode::from(if is_usage { 2 } else { 1 })
        }
    }
}
