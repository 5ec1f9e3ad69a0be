//! Runs programs of [Wakeful](wakeful) in a simulated world: sockets and time without a kernel.
//!
//! The program is the one that ships. Its loop, timers, streams and listeners run unchanged; only what
//! is below the system calls is another ([`wakeful::kernel`]). Time moves when the runtime waits, so
//! hours take milliseconds. The order of tasks and events, the delays and the faults follow from a seed,
//! so a seed that fails repeats, event for event.
//!
//! ```
//! use wakeful_net::{TcpListener, TcpStream};
//! use wakeful_sim::{Faults, Sim};
//!
//! async fn echo(listener: TcpListener) {
//!     let (stream, _) = listener.accept().await.unwrap();
//!     let mut buf = [0; 64];
//!     while let n @ 1.. = stream.read(&mut buf).await.unwrap() {
//!         stream.write_all(&buf[..n]).await.unwrap();
//!     }
//! }
//!
//! wakeful_sim::test! {
//!     seeds = 500;
//!     faults = Faults::lossless();
//!     async fn every_byte_comes_back(_sim: Sim) {
//!         let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
//!         let address = listener.local_addr().unwrap();
//!         wakeful::spawn(echo(listener)); // the program's own function
//!         let stream = TcpStream::connect(address).await.unwrap();
//!         stream.write_all(b"hello").await.unwrap();
//!         let mut answer = [0; 5];
//!         stream.read_exact(&mut answer).await.unwrap();
//!         assert_eq!(&answer, b"hello");
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! # Several hosts
//!
//! [`Hosts`] is a simulation of whole programs: each one builds its own runtime on a host with a name and an
//! address. Hosts crash and restart, partitions separate them, and signals end them:
//!
//! ```
//! use std::time::Duration;
//! use wakeful::runtime::Runtime;
//! use wakeful::signal::shutdown_signal;
//! use wakeful::signal::unix::SignalKind;
//! use wakeful_net::{TcpListener, TcpStream, serve};
//! use wakeful_sim::Hosts;
//!
//! /// The program's `main`.
//! fn server() {
//!     Runtime::new().unwrap().block_on(async {
//!         let listener = TcpListener::bind("0.0.0.0:7000").await.unwrap();
//!         serve(listener, async |stream: TcpStream, _| drop(stream.write_all(b"!").await))
//!             .with_graceful_shutdown(shutdown_signal())
//!             .await
//!             .unwrap();
//!     });
//! }
//!
//! wakeful_sim::test! {
//!     seeds = 20;
//!     fn a_client_is_served_after_a_restart(sim: &Hosts) {
//!         sim.host("server", server);
//!         sim.client("client", async || {
//!             wakeful::time::sleep(Duration::from_secs(10)).await;
//!             let stream = TcpStream::connect("server:7000").await.unwrap();
//!             stream.read_exact(&mut [0]).await.unwrap();
//!             wakeful::time::sleep(Duration::from_secs(20)).await;
//!             TcpStream::connect("server:7000").await.unwrap_err();
//!         });
//!         sim.at(Duration::from_secs(3), |sim| sim.crash("server"));
//!         sim.at(Duration::from_secs(5), |sim| sim.restart("server"));
//!         sim.at(Duration::from_secs(20), |sim| sim.signal("server", SignalKind::terminate()));
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! # A seed that fails
//!
//! It is reported with what has failed, when and where, and with the command that repeats it. Each choice of a run
//! belongs to a named stream, and 0 is the plain one: first in line, the tick goes on, the least delay, no
//! fault. The others are the run's *tape*. It is *shrunk* to the choices that matter: the others are left out
//! as long as the run ends at the same place. A run with these alone is shown by a page, the *timeline*, on which all
//! hosts are.
//!
//! Tape and timeline are files in the folder `wakeful-sim` of the target directory that the test program is in. If
//! it is in none, that is `target` of the current directory or of one above it, else the folder for temporary files.
//! `WAKEFUL_TAPE=file cargo test NAME` runs a tape; a line on stderr says if it does not fail.
//! `WAKEFUL_SEED` and `WAKEFUL_SEEDS` are those of [`wakeful::seeds`].
//!
//! # What follows from no seed
//!
//! One seed in 16, and each that fails, runs twice. If the events or the choices differ, the test fails with the
//! first difference. A thread that wakes a task, spawns one or drops a socket ends the run with its name: it is no
//! part of the simulation, unlike closures of the blocking pool.
//!
//! `docs/SIMULATED-TESTS.md` in the repository has examples, and says what to do when a seed fails.
//!
//! # Sockets
//!
//! TCP, UDP and Unix sockets answer as Linux does on loopback. TCP and UDP take time; on Unix sockets
//! a call changes the other socket at once. Only [`Faults::hostile`] loses datagrams of UDP, unless the
//! receiver's buffer is full.
//!
//! A path of a Unix socket is a name only, and no file is created. Like the file, it stays when the socket has
//! closed, so connecting to it is refused. It can be bound again, as if the program had removed the file.
//!
//! # Limits
//!
//! The simulation has sockets, time, closures of the blocking pool, and the names of the hosts and `localhost`.
//! Sockets of std are refused with `Unsupported`; pipes are the real ones, and their events are not seen. So are
//! signals in a test with one host. [`Options::allow_outside`] lets such a test use all of these. Threads of the program
//! are not simulated.
//!
//! The options of a socket are those of a real one that belongs to it, and is not connected. Of them,
//! `SO_REUSEADDR`, `IPV6_V6ONLY` and a linger time of zero have an effect. The sizes of buffers, `SO_REUSEPORT`,
//! multicast and broadcast have none. Credentials of a peer (`UnixStream::peer_cred`) are those of
//! `UnixStream::pair` only. Received datagrams have no control data: neither local address nor segments, and a
//! datagram that was cut is not reported as such. Descriptors cannot be passed over Unix sockets.

#![forbid(unsafe_code)]

mod entered;
mod exits;
mod faults;
mod files;
pub mod hosts;
mod leaks;
mod net;
mod panics;
mod report;
mod run;
mod shrink;
mod sim;
mod world;

pub use entered::{Entered, enter};
pub use faults::Faults;
pub use hosts::Hosts;
pub use leaks::Leaks;
pub use run::{Options, Run};
pub use sim::{Sim, check, run_seed, run_tape, shrink_tape};
pub use world::tape::Tape;

/// Writes a test that runs in a world: `seeds` times, with `faults`, with `leaks` allowed or not, with a
/// policy for an `unhandled_panic`, and for at most `max_turns` in each run. `allow_outside = true;` lets it use
/// real descriptors.
///
/// Each of these lines can be left out, see [`Options::new`], but their order is this one. Attributes such as
/// `#[should_panic]` come before the function. An `async fn` with a [`Sim`] is a test with one host, which runs it. A
/// `fn` with a `&`[`Hosts`] sets up several hosts.
///
/// # Examples
///
/// See [the crate](crate) and [`hosts`].
#[macro_export]
macro_rules! test {
    (
        $(seeds = $seeds:expr;)?
        $(faults = $faults:expr;)?
        $(leaks = $leaks:expr;)?
        $(unhandled_panic = $unhandled_panic:expr;)?
        $(max_turns = $max_turns:expr;)?
        $(allow_outside = $allow_outside:expr;)?
        $(#[$attribute:meta])*
        async fn $name:ident($sim:ident: $type:ty) $body:block
    ) => {
        #[::core::prelude::v1::test]
        $(#[$attribute])*
        fn $name() {
            async fn body($sim: $type) $body
            let options = $crate::Options::new();
            $(let options = options.seeds($seeds);)?
            $(let options = options.faults($faults);)?
            $(let options = options.leaks($leaks);)?
            $(let options = options.unhandled_panic($unhandled_panic);)?
            $(let options = options.max_turns($max_turns);)?
            $(let options = options.allow_outside($allow_outside);)?
            let name = ::core::concat!(::core::module_path!(), "::", ::core::stringify!($name));
            $crate::check(name, options, body);
        }
    };
    (
        $(seeds = $seeds:expr;)?
        $(faults = $faults:expr;)?
        $(unhandled_panic = $unhandled_panic:expr;)?
        $(max_turns = $max_turns:expr;)?
        $(#[$attribute:meta])*
        fn $name:ident($sim:ident: $type:ty) $body:block
    ) => {
        #[::core::prelude::v1::test]
        $(#[$attribute])*
        fn $name() {
            fn setup($sim: $type) $body
            let options = $crate::Options::new();
            $(let options = options.seeds($seeds);)?
            $(let options = options.faults($faults);)?
            $(let options = options.unhandled_panic($unhandled_panic);)?
            $(let options = options.max_turns($max_turns);)?
            let name = ::core::concat!(::core::module_path!(), "::", ::core::stringify!($name));
            $crate::hosts::check(name, options, setup);
        }
    };
}
