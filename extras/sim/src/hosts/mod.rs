//! Tests with several hosts: programs that build their own runtimes, with crashes, partitions, signals and clocks.
//!
//! Each host is a thread with an address and a clock of its own. Threads take turns: one runs until its runtime
//! waits, and which one is next is a choice of the run. So programs run as they are, with their own
//! thread-locals, and a seed or a tape repeats the run, as with [one host](crate::check).
//!
//! ```
//! use std::time::Duration;
//! use wakeful::runtime::Runtime;
//! use wakeful::time::{sleep, timeout};
//! use wakeful_net::{TcpListener, TcpStream};
//! use wakeful_sim::{Faults, Hosts};
//!
//! /// Answers each connection with a byte.
//! fn server() {
//!     let runtime = Runtime::new().unwrap();
//!     runtime.block_on(async {
//!         let listener = TcpListener::bind("0.0.0.0:7000").await.unwrap();
//!         loop {
//!             let (stream, _) = listener.accept().await.unwrap();
//!             stream.write_all(b"!").await.ok();
//!         }
//!     });
//! }
//!
//! async fn ask() -> std::io::Result<()> {
//!     let stream = TcpStream::connect("server:7000").await?;
//!     stream.read_exact(&mut [0]).await?;
//!     Ok(())
//! }
//!
//! wakeful_sim::test! {
//!     seeds = 50;
//!     faults = Faults::lossless();
//!     fn clients_survive_a_restart(sim: &Hosts) {
//!         sim.host("server", server);
//!         sim.client("client", async || {
//!             for _ in 0..100 {
//!                 sleep(Duration::from_secs(1)).await;
//!                 // A host that is off answers nothing, so a client needs a timeout.
//!                 while !matches!(timeout(Duration::from_secs(10), ask()).await, Ok(Ok(()))) {}
//!             }
//!         });
//!         let (from, to) = (Duration::from_secs(5), Duration::from_secs(65));
//!         sim.between(from, to, |sim| sim.crash("server"));
//!         sim.between(from * 20, to * 2, |sim| sim.partition("client", "server"));
//!         sim.calm_at(Duration::from_secs(3_600));
//!         sim.always(|sim| assert!(sim.open_sockets("server") < 10));
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! # Hosts and clients
//!
//! A [host](Hosts::host) is a closure. It starts at once, and again after a crash. A [client](Hosts::client) is a
//! future, for which a runtime is built. The run ends well when all clients have ended; what else runs then is
//! ended as by a crash. Without clients it ends with the last host.
//!
//! A panic that ends a program fails the run with the name of its host. So does a host that has not waited for ten
//! seconds of the machine's time: a blocking call can wait for another host that cannot run meanwhile. The message has
//! the task that is polled, and the system call in which its thread sleeps.
//!
//! The hosts have the addresses 10.0.0.1, 10.0.0.2, .. in the order in which they were made, and their names resolve
//! to these. `localhost` is the host itself. Each of them has all ports. Where no program listens, a connection is
//! refused.
//!
//! # Crashes and partitions
//!
//! After a [crash](Hosts::crash) nothing that the program does reaches others: its destructors run, but no
//! connection is closed. Its peers see silence, and a reset when they send to it after its
//! [restart](Hosts::restart). In a [partition](Hosts::partition) nothing passes, and nothing is lost: TCP sends
//! it again. The times are Linux' defaults: a segment is sent again after 0.2, 0.4, 0.8, .. 120 seconds, and after
//! 924 seconds the connection ends with `ETIMEDOUT`; a connection that is not answered is tried again after 1, 2,
//! 4, .. seconds, and ends with `ETIMEDOUT` after 127 seconds.
//!
//! # A seed that fails
//!
//! It is reported as with one host. The timeline has the runtimes of all hosts on the time of the simulation, those of
//! a host that has restarted beside each other, with crashes, partitions and signals. A runtime is recorded from its
//! begin to the crash, or to the end of its program, in a file that is removed then; of more than 65,536 events it has
//! the last ones. Programs that make [recordings](wakeful::trace) of their own are not on it.
//!
//! # Limits
//!
//! Statics of the process are common to all hosts and outlive a crash. A task of one host can be woken by another
//! host, through a channel for example. Threads of a program are not part of the simulation, and files, `std`'s
//! clocks and its sockets are those of the machine.

mod pin;
mod run;
mod schedule;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wakeful::runtime::{Builder, UnhandledPanic};
use wakeful::signal::unix::SignalKind;

use crate::faults::Faults;
use crate::net::hosts::{HostId, Lan};
use crate::net::recordings::Recordings;
use crate::net::{Delivery, Net};
use crate::run::{Options, Report};
use crate::world::{SharedNet, lock};
pub use run::{check, run_seed, run_tape, shrink_tape};
use schedule::{End, Failure, Phase, Program};

/// When a run ends at the latest, unless the test says otherwise.
const LAST: Duration = Duration::from_secs(24 * 3_600);

/// A simulation with several hosts: to set it up, and for the actions of a test. See [the module](self).
///
/// It can be cloned and used by hosts, too. A host is named by the name with which it was made; every method that
/// takes a name panics if there is no such host.
#[derive(Clone)]
pub struct Hosts {
    shared: Arc<Shared>,
}

type Action = Box<dyn FnOnce(&Hosts) + Send>;
type Check = Arc<dyn Fn(&Hosts) + Send + Sync>;

struct Shared {
    net: SharedNet,
    report: Report,
    /// For the runtimes of clients.
    unhandled_panic: UnhandledPanic,
    /// The time of the machine for which a host can run without a wait.
    patience: Duration,
    state: Mutex<State>,
}

struct State {
    /// By number of the host.
    programs: Vec<Program>,
    /// Actions that are due later.
    actions: BTreeMap<u64, Action>,
    next_action: u64,
    checks: Vec<Check>,
    failure: Option<Failure>,
    /// Whether each host writes a dump before it is ended, because what it waits for matters.
    wants_dumps: bool,
}

/// What [`Hosts::between`] does at its end: the end of a partition, or the restart of a host.
#[derive(Clone, Copy, Debug)]
pub struct Undo(Fault);

#[derive(Clone, Copy, Debug)]
enum Fault {
    Crash(HostId),
    Partition(HostId, HostId),
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Hosts {
    fn new(net: SharedNet, report: Report, options: Options, patience: Duration) -> Self {
        let state = State {
            programs: Vec::new(),
            actions: BTreeMap::new(),
            next_action: 0,
            checks: Vec::new(),
            failure: None,
            wants_dumps: false,
        };
        let recordings = (report == Report::Record).then(Recordings::default);
        let mut of_all = lock(&net);
        of_all.lan.last_ns = nanos(LAST);
        of_all.lan.recordings = recordings;
        drop(of_all);
        Self {
            shared: Arc::new(Shared {
                net,
                report,
                unhandled_panic: options.unhandled_panic,
                patience,
                state: Mutex::new(state),
            }),
        }
    }

    fn net(&self) -> MutexGuard<'_, Net> {
        lock(&self.shared.net)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No user code runs under this lock.
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a host, and starts its program. A restart calls the closure again, on a new thread.
    ///
    /// # Panics
    ///
    /// When the name is taken, is an IP address, or has other characters than ASCII letters, digits, `-`, `_` and `.`.
    /// When no thread can be started.
    #[track_caller]
    pub fn host(&self, name: &str, program: impl Fn() + Send + Sync + 'static) {
        self.add(name, false, Arc::new(program));
    }

    /// Makes a host whose program is a future, for which a runtime is built. The run ends when all clients have
    /// ended. A restart calls the closure again; a client that has crashed has not ended.
    ///
    /// # Panics
    ///
    /// As [`host`](Self::host).
    #[track_caller]
    pub fn client<F: Future<Output = ()>>(
        &self,
        name: &str,
        body: impl Fn() -> F + Send + Sync + 'static,
    ) {
        // The simulation finds deadlocks, in which all hosts wait. The runtime finds tasks that nothing can wake.
        let unhandled_panic = self.shared.unhandled_panic;
        let program = move || {
            let builder = Builder::new().count_wakers(true);
            let runtime = builder.unhandled_panic(unhandled_panic).build();
            runtime
                .expect("building the runtime")
                .block_on(async { body().await });
        };
        self.add(name, true, Arc::new(program));
    }

    #[track_caller]
    fn add(&self, name: &str, is_client: bool, program: Arc<dyn Fn() + Send + Sync>) {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        assert!(
            !name.is_empty() && name.bytes().all(is_good),
            "a host cannot have the name `{name}`: only ASCII letters, digits, `-`, `_` and `.` are allowed"
        );
        assert!(
            name.parse::<IpAddr>().is_err(),
            "a host cannot have the name `{name}`: it is an address, which is not looked up"
        );
        let is_taken = name == "localhost" || self.net().lan.find(name).is_some();
        assert!(!is_taken, "there is a host `{name}` already");
        let host = self.net().add_host(name);
        self.state().programs.push(Program::new(program, is_client));
        self.start(host);
    }

    #[track_caller]
    fn find(&self, name: &str) -> HostId {
        let net = self.net();
        if let Some(host) = net.lan.find(name) {
            return host;
        }
        let names: Vec<_> = net.lan.hosts.iter().map(|host| &*host.name).collect();
        let names = names.join("`, `");
        let is_first = net.lan.hosts.is_empty();
        drop(net);
        assert!(
            !is_first,
            "there is no host `{name}`, and none has been made"
        );
        panic!("there is no host `{name}`, only `{names}`");
    }

    /// Runs an action at a time since the simulation began; at once if that is over.
    pub fn at<R>(&self, time: Duration, action: impl FnOnce(&Hosts) -> R + Send + 'static) {
        let mut state = self.state();
        let number = state.next_action;
        state.next_action += 1;
        let action: Action = Box::new(move |sim| drop(action(sim)));
        state.actions.insert(number, action);
        drop(state);
        self.net().at(nanos(time), Delivery::Action(number));
    }

    /// Causes a fault at `from`, and ends it at `to`.
    ///
    /// # Panics
    ///
    /// When `to` is before `from`.
    #[track_caller]
    pub fn between(
        &self,
        from: Duration,
        to: Duration,
        fault: impl FnOnce(&Hosts) -> Undo + Send + 'static,
    ) {
        assert!(
            from <= to,
            "a fault cannot end at {to:?}, before its begin at {from:?}"
        );
        self.at(from, move |sim| {
            let undo = fault(sim);
            sim.at(to, move |sim| sim.undo(undo));
        });
    }

    fn undo(&self, undo: Undo) {
        match undo.0 {
            Fault::Partition(one, other) => {
                let mut net = self.net();
                net.lan.mend(one, other);
                net.note_faults();
            }
            Fault::Crash(host) => {
                let is_up = self.net().lan.hosts[host].is_up;
                if !is_up {
                    self.start(host);
                }
            }
        }
    }

    /// Ends all faults at a time: see [`calm`](Self::calm).
    pub fn calm_at(&self, time: Duration) {
        self.at(time, Self::calm);
    }

    /// Ends all partitions, and from now on there are none of the [faults](Faults) of the test. So progress is due.
    /// A host that is down stays down.
    pub fn calm(&self) {
        let mut net = self.net();
        net.note("calm", 0, 0);
        net.faults = Faults::none();
        net.lan.heal_all();
        net.note_faults();
    }

    /// Runs a check after each step of the simulation: a turn of a host, or something that was in flight. It fails
    /// the run by a panic.
    pub fn always(&self, check: impl Fn(&Hosts) + Send + Sync + 'static) {
        self.net().lan.is_checked = true;
        self.state().checks.push(Arc::new(check));
    }

    /// Fails the run if the clients have not ended at a time. It is 24 hours unless it is set.
    pub fn end_by(&self, time: Duration) {
        self.net().lan.last_ns = nanos(time);
    }

    /// Switches a host off. Its program ends, and nothing that it does meanwhile reaches other hosts. A host
    /// that is off stays so.
    ///
    /// The host itself can call it: then the call does not return, but unwinds.
    #[track_caller]
    pub fn crash(&self, host: &str) -> Undo {
        let host = self.find(host);
        self.end(host, End::Crash);
        Undo(Fault::Crash(host))
    }

    /// Starts the program of a host again, after a crash or its end. A program that runs crashes first.
    ///
    /// # Panics
    ///
    /// When a host restarts itself.
    #[track_caller]
    pub fn restart(&self, host: &str) {
        let host = self.find(host);
        let is_itself = self.is_current(host);
        assert!(!is_itself, "a host cannot restart itself: use `Hosts::at`");
        self.end(host, End::Crash);
        self.start(host);
    }

    /// Separates two hosts: nothing passes between them. Of two partitions of the same hosts each one has to end.
    ///
    /// # Panics
    ///
    /// When both are the same host.
    #[track_caller]
    pub fn partition(&self, one: &str, other: &str) -> Undo {
        assert!(one != other, "`{one}` cannot be separated from itself");
        let (one, other) = (self.find(one), self.find(other));
        let mut net = self.net();
        for host in [one, other] {
            net.note("partition", 0, host as i64);
        }
        net.lan.cut(one, other);
        net.note_faults();
        Undo(Fault::Partition(one, other))
    }

    /// Ends all partitions of two hosts.
    #[track_caller]
    pub fn heal(&self, one: &str, other: &str) {
        let (one, other) = (self.find(one), self.find(other));
        let mut net = self.net();
        for host in [one, other] {
            net.note("heal", 0, host as i64);
        }
        net.lan.heal(one, other);
        net.note_faults();
    }

    /// Sends a signal to the program of a host. Without a [listener](wakeful::signal) it has the default effect: most
    /// signals end the program, and the kernel closes its descriptors.
    #[track_caller]
    pub fn signal(&self, host: &str, kind: SignalKind) {
        let (name, number) = (host, kind.as_raw_value());
        let host = self.find(name);
        let mut net = self.net();
        net.note_for_timeline(name, &format!("signal {number}"));
        let ends = net.signal(host, number);
        drop(net);
        if ends {
            self.end(host, End::Exit);
        }
    }

    /// Sets the clock of a host: it is `offset` ahead of the simulation, and runs faster by `drift_ppm` millionths, or
    /// slower if that is negative.
    ///
    /// Timers and [`Instant`](wakeful::time::Instant) follow the drift only, as those of Linux. The offset is that of
    /// the time of day, which is [`clock_of`](Self::clock_of).
    ///
    /// # Panics
    ///
    /// When the drift is -1,000,000 or less, which would stop the clock.
    #[track_caller]
    pub fn clock(&self, host: &str, offset: Duration, drift_ppm: i32) {
        let host = self.find(host);
        assert!(
            drift_ppm > -1_000_000,
            "a drift of {drift_ppm} would stop the clock"
        );
        let offset_ns = nanos(offset);
        self.net().set_clock(host, offset_ns, drift_ppm);
    }

    /// Returns the time of day of a host: what its clock shows, since the simulation began. For programs to which the
    /// test passes their clock.
    #[must_use]
    #[track_caller]
    pub fn clock_of(&self, host: &str) -> Duration {
        let host = self.find(host);
        let net = self.net();
        let offset_ns = net.lan.hosts[host].clock.offset_ns;
        Duration::from_nanos(net.host_now_ns(host).saturating_add(offset_ns))
    }

    /// Returns the time since the simulation began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.net().now_ns)
    }

    /// Returns the address of a host.
    #[must_use]
    #[track_caller]
    pub fn address_of(&self, host: &str) -> IpAddr {
        Lan::ip(self.find(host)).into()
    }

    /// Returns the number of a host's sockets that have a descriptor.
    #[must_use]
    #[track_caller]
    pub fn open_sockets(&self, host: &str) -> usize {
        let host = self.find(host);
        let net = self.net();
        let ids = net.fds.values();
        ids.filter(|id| net.lan.host_of(**id) == host).count()
    }

    /// Returns whether the program of a host runs.
    #[must_use]
    #[track_caller]
    pub fn is_running(&self, host: &str) -> bool {
        let host = self.find(host);
        matches!(self.state().programs[host].phase, Phase::Runs { .. })
    }

    /// Chooses one of `of` possibilities, from 0: for times and kinds of faults. The choice is on the tape, in the
    /// stream `test`, and 0 is the plain one.
    ///
    /// # Panics
    ///
    /// When `of` is 0.
    #[must_use]
    #[track_caller]
    pub fn choose(&self, of: u32) -> u32 {
        self.net().choose_for_test(of)
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosts")
            .field("elapsed", &self.elapsed())
            .finish_non_exhaustive()
    }
}
