//! The Rust code of the pages about third-party crates, compiled and run with the tests.
//!
//! A separate package, so that neither the libraries nor the behavior tests depend on these crates
//! or are built with the features that they need.

#[cfg(doctest)]
#[doc = include_str!("../../../docs/COMPANIONS.md")]
struct Companions;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/PORTING.md")]
struct Porting;
