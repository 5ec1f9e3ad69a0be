//! Wakeful under tokio's names.
//!
//! What a porter gets by editing `use` lines is re-exported as it is: `net`, `time`, `task`,
//! `signal`, `spawn`. The parts of tokio that need no runtime of tokio's are tokio's own: `sync`, the
//! traits and utilities of `io`, `select!`, `join!`, `pin!`, `task_local!`. What remains are
//! names and signatures that Wakeful spells differently; each says what it stands for.

mod async_fd;
mod datagram;
pub mod runtime;

pub use real_tokio::{join, pin, select, sync, task_local, try_join};
pub use tokio_macros::{main, test};
pub use wakeful::{signal, spawn, time};

/// Sockets: Wakeful's.
pub mod net {
    pub use crate::datagram::{UdpSocket, UnixDatagram};
    pub use wakeful_net::*;
}

/// tokio's traits and utilities, Wakeful's readiness.
pub mod io {
    pub use real_tokio::io::*;
    pub use wakeful::io::{Interest, Ready};

    /// Descriptors: Wakeful's.
    pub mod unix {
        pub use crate::async_fd::{AsyncFd, AsyncFdReadyGuard};
        pub use wakeful::io::TryIoError;
    }
}

/// Tasks: Wakeful's; task-local values: tokio's.
pub mod task {
    pub use real_tokio::task::{LocalKey, futures};
    pub use wakeful::task::*;

    /// A name only: some files import it beside others. What uses it does not compile.
    #[derive(Debug)]
    pub struct LocalSet(());
}

/// What the code that tokio's macros make refers to.
#[doc(hidden)]
pub mod macros {
    pub use real_tokio::macros::support;
}
