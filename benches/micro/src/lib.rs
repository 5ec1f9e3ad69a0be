//! Micro-benchmarks of executors and timers: time and allocations of the same work on every runtime.
//!
//! ```text
//! bin/micro   one runtime, work items ----> measure ---> work::*  --> rival::Rival
//! bin/count   the same under a counting  --> count   -/                  |
//!             allocator                                  rivals::{wakeful, tokio, smol, ..}
//! ```
//!
//! The measured code is generic over [`Rival`], so every runtime runs exactly the same. The differences
//! are in `rivals`, one small file per runtime. Each process measures one runtime; the suite runs the
//! processes in turn.

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
