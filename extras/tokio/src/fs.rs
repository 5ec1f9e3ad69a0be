//! Absent: Wakeful has no files, because epoll cannot wait for them.
//!
//! tokio's `fs` runs std's functions on its blocking pool. The same in one line:
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> std::io::Result<()> {
//! let manifest = tokio::task::spawn_blocking(|| std::fs::read_to_string("Cargo.toml")).await??;
//! assert!(manifest.contains("[package]"));
//! # Ok(())
//! # }
//! ```
//!
//! The functions below are declared so that the compiler can say this. They cannot be called: no type
//! implements [`HasFiles`].
//!
//! ```compile_fail
//! # #[tokio::main]
//! # async fn main() {
//! let manifest = tokio::fs::read_to_string("Cargo.toml").await;
//! # }
//! ```

#![expect(clippy::missing_errors_doc, reason = "the functions cannot be called")]

use std::convert::Infallible;

/// Implemented by no type.
#[diagnostic::on_unimplemented(
    message = "Wakeful has no `tokio::fs`",
    label = "not available in wakeful-tokio",
    note = "use `tokio::task::spawn_blocking(|| std::fs::...).await`"
)]
pub trait HasFiles {}

macro_rules! absent {
    ($($name:ident)*) => {$(
        /// Cannot be called; see the [module](self).
        pub async fn $name<P: HasFiles>(_: P) -> std::io::Result<Infallible> {
            unreachable!("no type implements HasFiles")
        }
    )*};
}

absent! {
    canonicalize create_dir create_dir_all metadata read read_dir read_link read_to_string remove_dir
    remove_dir_all remove_file symlink_metadata try_exists
}

/// Cannot be called; see the [module](self).
pub async fn write<P: HasFiles, C>(_: P, _: C) -> std::io::Result<Infallible> {
    unreachable!("no type implements HasFiles")
}

/// Cannot be opened; see the [module](self).
#[derive(Debug)]
pub struct File(Infallible);

impl File {
    /// Cannot be called; see the [module](self).
    pub async fn open<P: HasFiles>(_: P) -> std::io::Result<Self> {
        unreachable!("no type implements HasFiles")
    }

    /// Cannot be called; see the [module](self).
    pub async fn create<P: HasFiles>(_: P) -> std::io::Result<Self> {
        unreachable!("no type implements HasFiles")
    }
}
