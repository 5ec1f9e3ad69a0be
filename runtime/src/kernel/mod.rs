//! What is below the system calls: the kernel, or a program that answers in its place.
//!
//! Every system call of this library and of `wakeful-net` that moves bytes, opens, names or closes a
//! socket, waits, or reads the clock first asks the [`Kernel`] that is [installed](install) on its
//! thread. Without one, that is a test of one byte. With one, the call has three outcomes, see
//! [`Verdict`]:
//!
//! - [`Real`](Verdict::Real): the call is made.
//! - [`Short`](Verdict::Short): it is made for fewer bytes.
//! - [`Is`](Verdict::Is): it is not made, because this is its result.
//!
//! A kernel that answers some calls with errors or short transfers tests how a program behaves when
//! they fail, on real sockets. One that answers all of them is a simulation: no byte leaves the
//! process, and time is what it says. The loop, the reactor, the timers and the sockets are the same
//! in each case.
//!
//! ```text
//!   TcpStream::read   sleep   spawn_blocking   bind   signal      user code
//!   ------------------------------------------------------------
//!   loop, reactor, timers, run queue, streams, listeners          unchanged
//!   ------------------------------------------------------------
//!   sys: one function per system call --- asks ---> Kernel        this module
//!   ------------------------------------------------------------
//!   Linux
//! ```
//!
//! # What a kernel must keep
//!
//! The runtime builds on what Linux promises, and a kernel must not break it:
//!
//! - A receive that returns less than it was asked for means that nothing more is there, and a send
//!   that it has no more room. An event follows when that changes. `Short` asks for less instead, so
//!   it breaks nothing.
//! - After `EAGAIN` an event follows. A kernel that returns it although bytes or room are there adds the
//!   event itself, in [`wait`](Kernel::wait).
//! - Events are edges: each change is reported once, with the token of [`watch`](Kernel::watch).
//! - `EINTR` is answered by asking again.
//!
//! Options of sockets are not asked for: they are read and set on the descriptor, which is always a
//! real one. A kernel that simulates a socket finds its descriptor in [`opened`](Kernel::opened).
//! Standard streams are not asked for either: a closure of the blocking pool reads or writes them.
//!
//! # Examples
//!
//! A connection whose writes take one byte at a time:
//!
//! ```
//! use std::io::IoSlice;
//! use std::os::fd::BorrowedFd;
//! use std::sync::Arc;
//! use wakeful::kernel::{self, Kernel, Verdict};
//!
//! struct OneByte;
//!
//! impl Kernel for OneByte {
//!     fn send(&self, _fd: BorrowedFd<'_>, _bufs: &[IoSlice<'_>]) -> Verdict<usize> {
//!         Verdict::Short(1)
//!     }
//! }
//!
//! let installed = kernel::install(Arc::new(OneByte));
//! wakeful::block_on(async {
//!     // write_all still writes everything
//! });
//! drop(installed);
//! ```

mod installed;
mod wait;

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Shutdown};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::{fmt, net, os};

pub use installed::{Installed, any, current, install};
pub use wait::{Event, Wait};

/// What answers system calls; see [the module](self).
///
/// Each method has a default: the call is made. Methods are called on the thread that makes the call,
/// in the middle of the runtime's work. They must not use the runtime or its sockets, and not wait for
/// other threads that do. Only [`dump`](crate::dump()) can be called, in [`wait`](Self::wait). It asks
/// [`inspect`](Self::inspect) about the descriptors.
///
/// `closing` and the calls that wake another thread are asked of the kernel of the thread on which they
/// happen, if it has one. [`message`](Self::message) is the exception.
pub trait Kernel: Send + Sync {
    /// A socket was created, and is neither bound nor connected. See socket(2).
    fn opened(&self, fd: BorrowedFd<'_>) {
        let _ = fd;
    }

    /// Two Unix sockets that are connected to each other were created. See socketpair(2).
    fn paired(&self, near: BorrowedFd<'_>, far: BorrowedFd<'_>) {
        let _ = (near, far);
    }

    /// A descriptor was duplicated. See fcntl(2).
    fn duplicated(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
        let _ = (from, to);
    }

    /// A descriptor is about to be closed, or was taken by user code (`into_std`).
    fn closing(&self, fd: BorrowedFd<'_>) {
        let _ = fd;
    }

    /// bind(2).
    fn bind(&self, fd: BorrowedFd<'_>, address: &Address) -> Verdict<()> {
        let _ = (fd, address);
        Verdict::Real
    }

    /// listen(2).
    fn listen(&self, fd: BorrowedFd<'_>, backlog: u32) -> Verdict<()> {
        let _ = (fd, backlog);
        Verdict::Real
    }

    /// connect(2). `EINPROGRESS` starts a connection; [`take_error`](Self::take_error) and
    /// [`peer_addr`](Self::peer_addr) are its outcome after the event for writing.
    fn connect(&self, fd: BorrowedFd<'_>, address: &Address) -> Verdict<()> {
        let _ = (fd, address);
        Verdict::Real
    }

    /// accept4(2). The descriptor has to be non-blocking.
    fn accept(&self, listener: BorrowedFd<'_>) -> Verdict<(OwnedFd, Address)> {
        let _ = listener;
        Verdict::Real
    }

    /// A connection was accepted by the real kernel.
    fn accepted(&self, listener: BorrowedFd<'_>, fd: BorrowedFd<'_>) {
        let _ = (listener, fd);
    }

    /// shutdown(2).
    fn shutdown(&self, fd: BorrowedFd<'_>, how: Shutdown) -> Verdict<()> {
        let _ = (fd, how);
        Verdict::Real
    }

    /// recv(2) or recvmsg(2), into at least one buffer. The received bytes stay if `peek` is set.
    /// The length of a datagram is at most that of the buffers.
    fn recv(&self, fd: BorrowedFd<'_>, bufs: &mut [IoSliceMut<'_>], peek: bool) -> Verdict<usize> {
        let _ = (fd, bufs, peek);
        Verdict::Real
    }

    /// send(2) or sendmsg(2), from at least one buffer.
    fn send(&self, fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> Verdict<usize> {
        let _ = (fd, bufs);
        Verdict::Real
    }

    /// Receives one datagram and its sender. See recvfrom(2).
    fn recv_from(
        &self,
        fd: BorrowedFd<'_>,
        buf: &mut [u8],
        peek: bool,
    ) -> Verdict<(usize, Address)> {
        let _ = (fd, buf, peek);
        Verdict::Real
    }

    /// Sends one datagram to an address. See sendto(2).
    fn send_to(&self, fd: BorrowedFd<'_>, buf: &[u8], target: &Address) -> Verdict<usize> {
        let _ = (fd, buf, target);
        Verdict::Real
    }

    /// Sends the bytes as datagrams of `segment_size` bytes, the last of which can be shorter: all of them, or
    /// none. See `UDP_SEGMENT` in udp(7).
    ///
    /// The default asks [`send_to`](Self::send_to) for each. The answer to the first is that of the call, and a later
    /// one that is not sent is lost.
    fn send_segments(
        &self,
        fd: BorrowedFd<'_>,
        buf: &[u8],
        segment_size: usize,
        target: &Address,
    ) -> Verdict<usize> {
        let mut segments = buf.chunks(segment_size.max(1));
        let first = self.send_to(fd, segments.next().unwrap_or_default(), target);
        if !matches!(first, Verdict::Is(Ok(_))) {
            return first;
        }
        for segment in segments {
            drop(self.send_to(fd, segment, target));
        }
        Verdict::Is(Ok(buf.len()))
    }

    /// Reads and clears the pending error, see `SO_ERROR` in socket(7).
    fn take_error(&self, fd: BorrowedFd<'_>) -> Verdict<Option<io::Error>> {
        let _ = fd;
        Verdict::Real
    }

    /// getsockname(2).
    fn local_addr(&self, fd: BorrowedFd<'_>) -> Verdict<Address> {
        let _ = fd;
        Verdict::Real
    }

    /// getpeername(2).
    fn peer_addr(&self, fd: BorrowedFd<'_>) -> Verdict<Address> {
        let _ = fd;
        Verdict::Real
    }

    /// A [dump](crate::dump()) asks about a registered descriptor, which can be closed already, or be no socket. This is
    /// no call of the program, so a kernel notes nothing about it.
    fn inspect(&self, fd: RawFd) -> Verdict<Inspected> {
        let _ = fd;
        Verdict::Real
    }

    /// A descriptor is added to an epoll, for the flags in `interest`, edge-triggered. Its events carry
    /// `token`. See `EPOLL_CTL_ADD` in epoll_ctl(2).
    ///
    /// Each runtime has one epoll. It also watches an eventfd, which [`wake`](Self::wake) names.
    fn watch(
        &self,
        epoll: BorrowedFd<'_>,
        fd: BorrowedFd<'_>,
        token: u64,
        interest: u32,
    ) -> Verdict<()> {
        let _ = (epoll, fd, token, interest);
        Verdict::Real
    }

    /// A descriptor is removed from an epoll before it is closed. It can be closed already. See
    /// `EPOLL_CTL_DEL`.
    fn unwatch(&self, epoll: BorrowedFd<'_>, fd: RawFd) -> Verdict<()> {
        let _ = (epoll, fd);
        Verdict::Real
    }

    /// A runtime waits for events: see [`Wait`]. Once per turn of the loop.
    ///
    /// # Errors
    ///
    /// `EINTR` ends the turn without events. Any other error makes the runtime panic.
    fn wait(&self, wait: &mut Wait<'_>) -> io::Result<()> {
        wait.real(wait.limit())
    }

    /// An eventfd is written, to end the wait of the runtime that watches it. See eventfd(2).
    fn wake(&self, eventfd: BorrowedFd<'_>) -> Verdict<()> {
        let _ = eventfd;
        Verdict::Real
    }

    /// Returns whether [`built`](Self::built) is to be called for the runtimes that are built from now on. They publish
    /// each poll then.
    fn watches(&self) -> bool {
        false
    }

    /// A runtime was built on this thread, if this kernel [watches](Self::watches). `progress` says what its loop does.
    fn built(&self, progress: Progress) {
        let _ = progress;
    }

    /// A message is sent to a runtime that was built while this kernel was installed. A thread sends one to a
    /// runtime that it does not run: it wakes a task, aborts or spawns one, or drops a socket. `task` is the
    /// [`Id`](crate::task::Id) of the task, as text, if the message concerns one.
    ///
    /// Called on the thread that sends, before the message can be seen. What follows from such a message does not
    /// follow from the choices of a simulation.
    fn message(&self, task: Option<&dyn fmt::Display>) {
        let _ = task;
    }

    /// Returns the time in nanoseconds since some moment, which never decreases, or `None` for the
    /// system's time.
    ///
    /// Runtimes that are built while this is `Some` have this clock. They wait as they do with the
    /// system's: [`wait`](Self::wait) has the time until the next deadline as its limit, and is where
    /// the time moves. `std::time::Instant` is not asked for.
    fn now_ns(&self) -> Option<u64> {
        None
    }

    /// Returns whether [`choose`](Self::choose) is asked by the runtimes that are built from now on.
    fn chooses(&self) -> bool {
        false
    }

    /// Chooses one of `of` possibilities, from 0. A larger number stands for the last one.
    ///
    /// 0 is what the runtime does without a kernel.
    fn choose(&self, choice: Choice, of: u32) -> u32 {
        let _ = (choice, of);
        0
    }

    /// Takes a closure that a thread of the blocking pool would run, or returns it to have that done. If a
    /// closure is dropped without having run, its task ends with a `JoinError`.
    ///
    /// # Errors
    ///
    /// The closure, if the pool is to run it.
    fn blocking(&self, work: Work) -> Result<(), Work> {
        Err(work)
    }

    /// A runtime is built whose builder has no [recording](crate::runtime::Builder::record). Returns the path of a
    /// file in which it is recorded from its start on, or `None`. Each runtime needs a path of its own. Building
    /// it fails if the file cannot be created.
    fn recording(&self) -> Option<PathBuf> {
        None
    }

    /// Returns how often a signal was caught so far, or `None` if the process's handler is to catch
    /// it. After the number has grown, the descriptor that was watched for signals is due an event.
    fn caught(&self, signal: i32) -> Option<u64> {
        let _ = signal;
        None
    }

    /// Looks a host name up. See getaddrinfo(3).
    fn resolve(&self, host: &str) -> Verdict<Vec<IpAddr>> {
        let _ = host;
        Verdict::Real
    }
}

/// The outcome of a system call; see [the module](self).
#[derive(Debug)]
pub enum Verdict<T> {
    /// The call is made.
    Real,
    /// The call is made for at most so many bytes, and at least one. The same as `Real` for calls that
    /// move no bytes. A datagram is cut.
    Short(usize),
    /// The call is not made: this is its result.
    Is(io::Result<T>),
}

/// The address of a socket.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Address {
    /// An address of TCP or UDP.
    Ip(net::SocketAddr),
    /// A path, an abstract name, or an unnamed Unix socket.
    Unix(os::unix::net::SocketAddr),
}

/// What a dump says about a socket; see [`Kernel::inspect`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Inspected {
    /// Whether it accepts connections.
    pub listens: bool,
    /// Its own address.
    pub local: Option<Address>,
    /// The address of its peer, if it is connected.
    pub peer: Option<Address>,
}

/// What [`Kernel::choose`] chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Choice {
    /// Which of the ready tasks is polled next: its place in the run queue.
    NextTask,
    /// Whether events and timers are looked at before the next task is polled: no, or yes. A kernel that
    /// always chooses yes lets no task run.
    EndTick,
}

/// A closure for the blocking pool; see [`Kernel::blocking`].
pub struct Work(pub(crate) Box<dyn FnOnce() + Send>);

impl Work {
    /// Runs the closure. It never unwinds.
    pub fn run(self) {
        (self.0)();
    }
}

/// Says what the loop of a runtime does, on any thread; see [`Kernel::built`].
pub struct Progress(pub(crate) Box<dyn Fn() -> Option<String> + Send + Sync>);

impl Progress {
    /// Returns what the loop does, and its thread: `is polling task 5.0 "import" (spawned at import.rs:14:9), and its
    /// thread sleeps in futex`. `None` if it has gone on meanwhile.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        (self.0)()
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}
