//! The only crate of the workshop that calls the operating system, with four foreign functions, and three
//! more for io_uring in the last stage. Sockets are those of the standard library.
//!
//! Outside a check it adds nothing to the calls. In a check ([`Script`]) it also
//!
//! - records every call, so that a check can count them ([`count`]),
//! - lets calls fail ([`inject`]) or transfer less ([`limit`]),
//! - performs the next step of the script only when the runtime blocks in `epoll_wait`, so there is no
//!   race between the runtime and its peers,
//! - owns the clock: a timeout of `epoll_wait` moves virtual time ([`now`]),
//! - ends a run that can never continue ([`Stuck`]).

mod epoll;
mod eventfd;
pub mod model;
mod record;
mod ring;
mod script;
mod socket;
mod sys;

pub use epoll::{ERR, ET, Epoll, Event, HUP, IN, ONESHOT, OUT, RDHUP};
pub use eventfd::EventFd;
pub use record::{clear_faults, clear_record, count, inject, limit, note, steps};
pub use ring::{Completion, Ring};
pub use script::{Script, Stuck, advance, now, parks, progress, stuck, timed_parks};
pub use socket::{Listener, Stream};
