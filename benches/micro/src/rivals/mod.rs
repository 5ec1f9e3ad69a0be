//! The runtimes, one file each, and their names on the command line.

use clap::ValueEnum;

use crate::Rival;

mod compio;
mod glommio;
mod monoio;
mod smol;
mod tokio;
mod wakeful;

/// Name of a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// Wakeful.
    Wakeful,
    /// Wakeful while it records, to learn what an event of a recording costs.
    WakefulRecorded,
    /// Wakeful while its loop is watched, to learn what that costs per poll.
    WakefulWatched,
    /// tokio's current-thread runtime, `tokio::spawn`.
    Tokio,
    /// A tokio `LocalSet` on a current-thread runtime, `spawn_local`.
    TokioLocalSet,
    /// tokio's `LocalRuntime`, `spawn_local`.
    TokioLocalRuntime,
    /// smol's `LocalExecutor`.
    Smol,
    /// monoio on epoll.
    Monoio,
    /// glommio on io_uring.
    Glommio,
    /// compio on epoll.
    Compio,
}

/// A generic function over a runtime that is selected by name.
pub trait Visit {
    /// Result of the function.
    type Output;

    /// Calls the function with the runtime `R`.
    fn visit<R: Rival>(self) -> Self::Output;
}

impl Name {
    /// Calls the visitor with the runtime of this name.
    pub fn accept<V: Visit>(self, visitor: V) -> V::Output {
        match self {
            Name::Wakeful => visitor.visit::<wakeful::Wakeful<{ wakeful::PLAIN }>>(),
            Name::WakefulRecorded => visitor.visit::<wakeful::Wakeful<{ wakeful::RECORDED }>>(),
            Name::WakefulWatched => visitor.visit::<wakeful::Wakeful<{ wakeful::WATCHED }>>(),
            Name::Tokio => visitor.visit::<tokio::CurrentThread>(),
            Name::TokioLocalSet => visitor.visit::<tokio::Local<true>>(),
            Name::TokioLocalRuntime => visitor.visit::<tokio::Local<false>>(),
            Name::Smol => visitor.visit::<smol::Smol>(),
            Name::Monoio => visitor.visit::<monoio::Monoio>(),
            Name::Glommio => visitor.visit::<glommio::Glommio>(),
            Name::Compio => visitor.visit::<compio::Compio>(),
        }
    }
}
