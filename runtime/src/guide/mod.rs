//! Pages of the repository about using Wakeful, beside the reference of its items.
//!
//! Each text is a copy of a page in the folder `docs`.

#[doc = include_str!("porting.md")]
pub mod porting {}

#[doc = include_str!("wakeful_and_tokio.md")]
pub mod wakeful_and_tokio {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("stuck.md")]
pub mod stuck {}

#[doc = include_str!("companions.md")]
pub mod companions {}

#[doc = include_str!("crates.md")]
pub mod crates {}
