//! The same small pieces of work on every runtime: how long they take, and what they allocate.
//!
//! ```text
//! bin/micro   one runtime, some works -----> measure ---> work::*  --> rival::Rival
//! bin/count   the same under a counting  --> count   -/                  |
//!             allocator                                  rivals::{wakeful, tokio, smol, ..}
//! ```
//!
//! What is measured is written once, generic over [`Rival`], so that everybody does exactly the same;
//! what differs stands in `rivals`, one small file each. Each process measures one runtime, and the
//! suite runs the processes in turns.

#![deny(unsafe_code)]

pub mod count;
pub mod measure;
pub mod rival;
mod rivals;
pub mod shared;
#[expect(
    unsafe_code,
    reason = "a counting allocator, and Send by argument for tokio::spawn"
)]
pub mod sys;
pub mod work;

pub use rival::Rival;
pub use rivals::{Name, Visit};
