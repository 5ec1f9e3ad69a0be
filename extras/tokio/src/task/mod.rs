//! Tasks of Wakeful with tokio's signatures, task-local values of tokio.

pub mod join_set;
mod local_set;

pub use crate::join_handle::{AbortHandle, JoinHandle};
pub use crate::spawn::{id, spawn, spawn_blocking, try_id};
pub use join_set::JoinSet;
pub use local_set::{LocalEnterGuard, LocalSet, spawn_local};
#[cfg(feature = "rt")]
pub use real_tokio::task::{LocalKey, futures, unconstrained};
pub use wakeful::task::{
    ConsumeBudget, Id, JoinError, TaskInfo, YieldNow, consume_budget, dump, yield_now,
};

/// The functions of tokio's budget that have a counterpart.
///
/// Wakeful counts operations on descriptors, timers and join handles. tokio's channels and utilities
/// are not counted, so [`unconstrained`] has nothing to lift for them, and does not lift Wakeful's
/// budget.
pub mod coop {
    #[cfg(feature = "rt")]
    pub use real_tokio::task::Unconstrained;
    #[cfg(feature = "rt")]
    pub use real_tokio::task::unconstrained;
    pub use wakeful::task::consume_budget;
}

/// Implemented by no type; see [`block_in_place`].
#[diagnostic::on_unimplemented(
    message = "Wakeful has no `block_in_place`, because it has one thread",
    label = "not available in wakeful-tokio",
    note = "use `tokio::task::spawn_blocking(closure).await`"
)]
pub trait BlocksInPlace {}

/// Absent: a closure that blocks would stop the only thread.
///
/// It is declared so that the compiler can say what to use instead, and cannot be called.
pub fn block_in_place<F: BlocksInPlace, R>(_: F) -> R {
    unreachable!("no type implements BlocksInPlace")
}
