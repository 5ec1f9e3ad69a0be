//! The simulation: a kernel that answers every call on a socket of TCP, UDP or Unix, and whose time moves when
//! the runtime waits.
//!
//! ```text
//!   wait: what is due happens --> events?  yes: return them
//!            ^                       | no, and the runtime has no work
//!            |                       v
//!            +--- the time moves to the next delivery, or to the runtime's next deadline
//! ```
//!
//! A simulated socket owns a real one that is never bound or connected, so options can be set and read,
//! and its descriptor can be borrowed. Descriptors that the simulation has not made are refused, except for
//! those that are no sockets, such as the eventfd of a runtime, and if they are allowed (`real`).

mod alone;
pub(crate) mod choices;
pub(crate) mod ends;
pub(crate) mod events;
pub(crate) mod gate;
mod real;
mod socket_calls;
pub(crate) mod tape;
mod turn;

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Shutdown};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use wakeful::kernel::{Address, Choice, Inspected, Kernel, Progress, Verdict, Wait, Work};

use crate::net::calls::{gather, new_real_socket};
use crate::net::epoll::Watch;
use crate::net::hosts::{HostId, Lan};
use crate::net::tcp::Socket;
use crate::net::{Delivery, Net};
use crate::panics::end_run;
use ends::Outside;
use gate::Gate;
use real::Real;

/// Time that passes in a turn. Otherwise a task that yields until something arrives would wait forever.
const TURN_NS: u64 = 1_000;

/// What all hosts of a simulation share.
pub(crate) type SharedNet = Arc<Mutex<Net>>;

/// Locks what all hosts share. One thread at a time runs, so there is no wait.
pub(crate) fn lock(net: &SharedNet) -> MutexGuard<'_, Net> {
    // A panic in user code cannot come between two changes that belong together.
    net.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The kernel of a world, for the runtimes of one host.
pub(crate) struct World {
    net: SharedNet,
    host: HostId,
    /// `None` for a host that is alone. It runs on the thread of the test.
    gate: Option<Arc<Gate>>,
    /// The streams of choices about tasks.
    order: String,
    hold: String,
    /// Unused with a gate, which has its own.
    outside: Outside,
    /// The descriptors that the simulation has not made, if they are allowed.
    real: Option<Real>,
}

impl World {
    pub(crate) fn new(net: SharedNet) -> Self {
        Self {
            net,
            host: 0,
            gate: None,
            order: "order".to_owned(),
            hold: "hold".to_owned(),
            outside: Outside::default(),
            real: None,
        }
    }

    /// Creates the kernel for one run of a host's program.
    pub(crate) fn of_host(net: SharedNet, host: HostId, name: &str, gate: Arc<Gate>) -> Self {
        Self {
            net,
            host,
            gate: Some(gate),
            order: format!("order {name}"),
            hold: format!("hold {name}"),
            outside: Outside::default(),
            real: None,
        }
    }

    pub(crate) fn net(&self) -> MutexGuard<'_, Net> {
        lock(&self.net)
    }

    /// Returns what hosts share, unless the program has been ended: then it changes nothing any more.
    fn live(&self) -> Option<MutexGuard<'_, Net>> {
        let is_dead = self.gate.as_ref().is_some_and(|gate| gate.is_dead());
        (!is_dead).then(|| self.net())
    }
}

/// The answer to a program that has been ended.
fn dead<T>() -> Verdict<T> {
    Verdict::Is(Err(io::Error::from_raw_os_error(libc::ENETDOWN)))
}

fn is_only_v6(fd: BorrowedFd<'_>) -> bool {
    SockRef::from(&fd).only_v6().unwrap_or(false)
}

fn is_socket(fd: BorrowedFd<'_>) -> bool {
    SockRef::from(&fd).r#type().is_ok()
}

impl Kernel for World {
    fn opened(&self, fd: BorrowedFd<'_>) {
        let socket = SockRef::from(&fd);
        let (Ok(domain), Ok(kind)) = (socket.domain(), socket.r#type()) else {
            return;
        };
        let Some(socket) = Socket::for_kind(domain, kind) else {
            return;
        };
        let Some(mut net) = self.live() else {
            return;
        };
        let id = net.insert(socket);
        net.fds.insert(fd.as_raw_fd(), id);
        net.note("open", id, 0);
    }

    fn paired(&self, near: BorrowedFd<'_>, far: BorrowedFd<'_>) {
        self.opened(near);
        self.opened(far);
        let Some(mut net) = self.live() else {
            return;
        };
        let ids = [near, far].map(|fd| net.fds.get(&fd.as_raw_fd()).copied());
        if let [Some(near), Some(far)] = ids {
            net.unix_pair(near, far);
        }
    }

    fn duplicated(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
        let Some(mut net) = self.live() else {
            return;
        };
        let Some(id) = net.fds.get(&from.as_raw_fd()).copied() else {
            return;
        };
        net.fds.insert(to.as_raw_fd(), id);
        if let Some(socket) = net.sockets.get_mut(&id) {
            socket.handles += 1;
        }
        net.note("duplicate", id, 0);
    }

    fn closing(&self, fd: BorrowedFd<'_>) {
        let zero_linger = SockRef::from(&fd).linger().ok() == Some(Some(Duration::ZERO));
        let Some(mut net) = self.live() else {
            return;
        };
        if let Some(id) = net.fds.remove(&fd.as_raw_fd()) {
            net.note("close", id, zero_linger.into());
            net.close(id, zero_linger);
            net.arrive_at_once();
        }
    }

    fn bind(&self, fd: BorrowedFd<'_>, address: &Address) -> Verdict<()> {
        let reuse = SockRef::from(&fd).reuse_address().unwrap_or(false);
        self.call(fd, "bind", |net, id| {
            net.set_only_v6(id, || is_only_v6(fd));
            net.bind(id, address, reuse)
        })
    }

    fn listen(&self, fd: BorrowedFd<'_>, backlog: u32) -> Verdict<()> {
        self.call(fd, "listen", |net, id| {
            net.set_only_v6(id, || is_only_v6(fd));
            net.listen(id, backlog)
        })
    }

    fn connect(&self, fd: BorrowedFd<'_>, address: &Address) -> Verdict<()> {
        self.call(fd, "connect", |net, id| {
            net.set_only_v6(id, || is_only_v6(fd));
            net.connect(id, address)
        })
    }

    fn accept(&self, listener: BorrowedFd<'_>) -> Verdict<(OwnedFd, Address)> {
        self.call(listener, "accept", |net, id| {
            if let Some(errno) = net.faults.accept_errno(&mut net.choices, ("accept", id)) {
                return Err(errno);
            }
            if net.is_queue_empty(id) {
                // The real socket is a tenth of a small run.
                return Err(libc::EAGAIN);
            }
            // First, as in Linux: without a descriptor the connection stays in the queue.
            let fd = new_real_socket(net.domain(id)?)
                .map_err(|error| error.raw_os_error().unwrap_or(libc::ENFILE))?;
            let (accepted, peer) = net.accept(id)?;
            net.fds.insert(fd.as_raw_fd(), accepted);
            if let Some(socket) = net.sockets.get_mut(&accepted) {
                socket.handles = 1;
            }
            Ok((fd, peer))
        })
    }

    fn shutdown(&self, fd: BorrowedFd<'_>, how: Shutdown) -> Verdict<()> {
        self.call(fd, "shutdown", |net, id| net.shutdown(id, how))
    }

    fn recv(&self, fd: BorrowedFd<'_>, bufs: &mut [IoSliceMut<'_>], peek: bool) -> Verdict<usize> {
        let what = if peek { "peek" } else { "recv" };
        self.transfer(fd, what, |net, id| net.recv(id, bufs, peek))
    }

    fn send(&self, fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> Verdict<usize> {
        let len = bufs.iter().map(|buf| buf.len()).sum();
        let send = |net: &mut Net, id| net.send_bytes(id, gather(bufs), len);
        self.transfer(fd, "send", send)
    }

    fn recv_from(
        &self,
        fd: BorrowedFd<'_>,
        buf: &mut [u8],
        peek: bool,
    ) -> Verdict<(usize, Address)> {
        let what = if peek { "peek" } else { "recv" };
        let mut sender = None;
        let received = self.transfer(fd, what, |net, id| {
            let (count, from) = net.recv_from(id, buf, peek)?;
            sender = Some(from);
            Ok(count)
        });
        match (received, sender) {
            (Verdict::Is(Ok(count)), Some(from)) => Verdict::Is(Ok((count, from))),
            (Verdict::Is(Err(error)), _) => Verdict::Is(Err(error)),
            _ => self.call_outside(what),
        }
    }

    fn send_to(&self, fd: BorrowedFd<'_>, buf: &[u8], target: &Address) -> Verdict<usize> {
        let send = |net: &mut Net, id| {
            net.set_only_v6(id, || is_only_v6(fd));
            net.send_to(id, buf.to_vec(), buf.len(), target)
        };
        self.transfer(fd, "send", send)
    }

    fn send_segments(
        &self,
        fd: BorrowedFd<'_>,
        buf: &[u8],
        segment_size: usize,
        target: &Address,
    ) -> Verdict<usize> {
        let send = |net: &mut Net, id| {
            net.set_only_v6(id, || is_only_v6(fd));
            // What is wrong with one is wrong with the first, which is the longest.
            for segment in buf.chunks(segment_size) {
                net.send_to(id, segment.to_vec(), segment.len(), target)?;
            }
            Ok(buf.len())
        };
        self.transfer(fd, "send", send)
    }

    fn take_error(&self, fd: BorrowedFd<'_>) -> Verdict<Option<io::Error>> {
        self.call(fd, "take_error", |net, id| {
            let socket = net.sockets.get_mut(&id).ok_or(libc::EBADF)?;
            Ok(socket.error.take().map(io::Error::from_raw_os_error))
        })
    }

    fn local_addr(&self, fd: BorrowedFd<'_>) -> Verdict<Address> {
        self.call(fd, "local_addr", |net, id| net.local_addr(id))
    }

    fn peer_addr(&self, fd: BorrowedFd<'_>) -> Verdict<Address> {
        self.call(fd, "peer_addr", |net, id| net.peer_addr(id))
    }

    fn inspect(&self, fd: RawFd) -> Verdict<Inspected> {
        let net = self.net();
        match net.fds.get(&fd) {
            Some(id) => Verdict::Is(Ok(net.inspect(*id))),
            None => Verdict::Real,
        }
    }

    fn watch(
        &self,
        epoll: BorrowedFd<'_>,
        fd: BorrowedFd<'_>,
        token: u64,
        interest: u32,
    ) -> Verdict<()> {
        let watch = Watch {
            epoll: epoll.as_raw_fd(),
            fd: fd.as_raw_fd(),
            token,
            interest,
        };
        let is_simulated = self.net().fds.contains_key(&watch.fd);
        if !is_simulated && (self.real.is_some() || !is_socket(fd)) {
            if let Some(real) = &self.real {
                real.watch(&watch);
            }
            self.with_program(|program| program.watch_other(watch));
            return Verdict::Real;
        }
        self.call(fd, "watch", |net, id| {
            net.watch(id, watch);
            Ok(())
        })
    }

    fn unwatch(&self, epoll: BorrowedFd<'_>, fd: RawFd) -> Verdict<()> {
        let Some(mut net) = self.live() else {
            return Verdict::Is(Ok(()));
        };
        if !net.fds.contains_key(&fd) {
            drop(net);
            if let Some(real) = &self.real {
                real.unwatch(epoll.as_raw_fd(), fd);
            }
            self.with_program(|program| program.unwatch_other(epoll.as_raw_fd(), fd));
            return Verdict::Real;
        }
        net.unwatch(epoll.as_raw_fd(), fd);
        Verdict::Is(Ok(()))
    }

    fn watches(&self) -> bool {
        self.gate.is_some()
    }

    fn built(&self, progress: Progress) {
        if let Some(gate) = &self.gate {
            gate.set_progress(progress);
        }
    }

    fn message(&self, task: Option<&dyn fmt::Display>) {
        self.outside().note(task);
    }

    fn wait(&self, wait: &mut Wait<'_>) -> io::Result<()> {
        if let Some(text) = self.outside_text(wakeful::dump) {
            end_run(text);
        }
        if let Some(gate) = &self.gate {
            return self.wait_for_turn(gate, wait);
        }
        self.wait_alone(wait)
    }

    fn wake(&self, eventfd: BorrowedFd<'_>) -> Verdict<()> {
        if let (Some(_), Some(mut net)) = (&self.gate, self.live()) {
            net.wake(eventfd.as_raw_fd());
        }
        Verdict::Real
    }

    fn caught(&self, signal: i32) -> Option<u64> {
        self.gate.as_ref()?;
        Some(
            self.with_program(|program| program.caught(signal))
                .unwrap_or(0),
        )
    }

    fn now_ns(&self) -> Option<u64> {
        Some(self.net().host_now_ns(self.host))
    }

    fn chooses(&self) -> bool {
        self.net().faults.orders()
    }

    fn choose(&self, choice: Choice, of: u32) -> u32 {
        let Some(mut net) = self.live() else {
            return 0;
        };
        match choice {
            Choice::NextTask => net.choices.choose(&self.order, of),
            // One tick in four ends early.
            _ => u32::from(net.choices.chance(&self.hold, 4)),
        }
    }

    fn blocking(&self, work: Work) -> Result<(), Work> {
        // Without a host to run on, the closure is dropped.
        if let Some(mut net) = self.live() {
            let host = self.host;
            // Sockets are numbered from 1, so 0 is the stream of closures.
            net.send(0, Delivery::Work { host, work });
        }
        Ok(())
    }

    fn recording(&self) -> Option<PathBuf> {
        self.live()?.record(self.host)
    }

    fn resolve(&self, host: &str) -> Verdict<Vec<IpAddr>> {
        if host == "localhost" {
            return Verdict::Is(Ok(vec![Ipv4Addr::LOCALHOST.into()]));
        }
        let net = self.net();
        if let Some(found) = net.lan.find(host) {
            return Verdict::Is(Ok(vec![Lan::ip(found).into()]));
        }
        let others = net.lan.hosts.iter();
        let others: String = others.map(|host| format!(", `{}`", host.name)).collect();
        let message = format!("the simulated world has no host `{host}`, only `localhost`{others}");
        Verdict::Is(Err(io::Error::new(ErrorKind::NotFound, message)))
    }
}
