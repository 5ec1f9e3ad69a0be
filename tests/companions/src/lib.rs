//! The Rust in the pages that speak of other people's crates, compiled and run with the tests.
//!
//! A package of its own, so that neither the libraries nor the behaviour tests depend on those
//! crates or are built with the features that go with them.

#[cfg(doctest)]
#[doc = include_str!("../../../docs/COMPANIONS.md")]
struct Companions;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/PORTING.md")]
struct Porting;
