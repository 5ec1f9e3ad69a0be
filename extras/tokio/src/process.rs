//! Absent: Wakeful does not start child processes.
//!
//! A child that has to be awaited can be a [`std::process::Child`] in
//! [`task::spawn_blocking`](crate::task::spawn_blocking); its pipes become asynchronous through
//! [`net::unix::pipe`](https://docs.rs/tokio/1/tokio/net/unix/pipe/index.html), which is present.
//!
//! [`Command::new`] is declared so that the compiler can say this. It cannot be called: no type implements
//! [`HasProcesses`].
//!
//! ```compile_fail
//! let child = tokio::process::Command::new("true").spawn();
//! ```

use std::convert::Infallible;

/// Implemented by no type.
#[diagnostic::on_unimplemented(
    message = "Wakeful has no `tokio::process`",
    label = "not available in wakeful-tokio",
    note = "use `std::process::Command` in `tokio::task::spawn_blocking`"
)]
pub trait HasProcesses {}

/// Cannot be created; see the [module](self).
#[derive(Debug)]
pub struct Command(Infallible);

impl Command {
    /// Cannot be called; see the [module](self).
    pub fn new<S: HasProcesses>(_: S) -> Self {
        unreachable!("no type implements HasProcesses")
    }
}
