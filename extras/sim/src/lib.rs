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
//! # A seed that fails
//!
//! It is printed with the command that repeats it, and with its *tape*: the choices that were not plain.
//! Each choice belongs to a named stream, and 0 is the plain one: first in line, the tick goes on, the
//! least delay, no fault. The tape that is printed is *shrunk* to the choices that matter: the others are
//! left out as long as the run ends at the same place. A tape in a file can be kept as a test:
//! `WAKEFUL_TAPE=file cargo test NAME`.
//! `WAKEFUL_SEED` and `WAKEFUL_SEEDS` are those of [`wakeful::seeds`].
//!
//! One seed in 16, and each that fails, runs twice. If the events differ, the test fails with the first
//! difference: then something in it does not follow from the seed.
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
//! The simulation is one host with sockets, time, closures of the blocking pool and the name `localhost`.
//! Sockets of std are refused with `Unsupported`; pipes and signals are the real ones, and their events are not
//! seen. Threads of the program are not simulated.
//!
//! The options of a socket are those of a real one that belongs to it, and is not connected. Of them,
//! `SO_REUSEADDR` and a linger time of zero have an effect. The sizes of buffers, `IPV6_V6ONLY`, `SO_REUSEPORT`,
//! multicast and broadcast have none. Credentials of a peer (`UnixStream::peer_cred`) are those of
//! `UnixStream::pair` only. Received datagrams have no control data: neither local address nor segments, and a
//! datagram that was cut is not reported as such. Descriptors cannot be passed over Unix sockets.

#![forbid(unsafe_code)]

mod entered;
mod faults;
mod net;
mod panics;
mod run;
mod shrink;
mod world;

pub use entered::{Entered, enter};
pub use faults::Faults;
pub use run::{Options, Run, Sim, check, run_seed, run_tape, shrink_tape};
pub use world::tape::Tape;

/// Writes a test that runs in a world: `seeds` times, with `faults`.
///
/// Both lines can be left out, see [`Options::new`]. Attributes such as `#[should_panic]` come before
/// `async fn`.
///
/// # Examples
///
/// See [the crate](crate).
#[macro_export]
macro_rules! test {
    (
        $(seeds = $seeds:expr;)?
        $(faults = $faults:expr;)?
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
            let name = ::core::concat!(::core::module_path!(), "::", ::core::stringify!($name));
            $crate::check(name, options, body);
        }
    };
}
