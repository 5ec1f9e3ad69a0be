//! What the build script and the program share: where tokio's tests are, which are taken, and what
//! is excluded of them and why.

/// What is excluded, and where the files are.
pub mod list;
/// Before compiling: the build script's work.
pub mod prepare;
/// The count, and the pages that state it.
pub mod report;
/// Running the test binaries.
pub mod run;

/// Errors are for people to read: a line of text each.
pub type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;
