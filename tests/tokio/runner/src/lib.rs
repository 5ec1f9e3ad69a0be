//! Code that the build script and the program share: where tokio's tests are, which files are
//! included, and which tests are excluded for which reason.

/// The list of exclusions, and the location of the files.
pub mod list;
/// Preparation of the files by the build script.
pub mod prepare;
/// The counts, and the pages that state them.
pub mod report;
/// Execution of the test binaries.
pub mod run;

/// Result whose error is one line of text to print.
pub type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;
