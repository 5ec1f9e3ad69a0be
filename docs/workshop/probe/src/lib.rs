//! What the checks share: traces, futures and wakers that record what is done to them, the state of
//! threads, and the report of a check.

mod future;
mod report;
mod thread;
mod trace;
mod waker;

pub use future::{DropNote, Scripted, poll_once, yield_once};
pub use report::{
    Case, Diagnosis, Failure, Outcome, Picture, Stage, expect, fail, kernel_lanes, lanes,
    run_scripted, skip, stage,
};
pub use thread::{Watched, has_slept, is_asleep_forever, rests, until};
pub use trace::Trace;
pub use waker::{Forward, Slot, WakeCount, on_drop, on_wake};
