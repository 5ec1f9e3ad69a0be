//! The program from start to end: bind, serve, drain. The root future of the main thread.
//!
//! Called by `main` with the arguments. Signals and the interval of `--stats` are waited for here,
//! in the root future. So there is one task per connection and one per socket, and while more connections fail
//! than have a line each, the one of [`crate::log::FailureLines`].
//!
//! The signal handlers are installed first. From then on no signal is lost, also while names are
//! resolved and sockets opened.

use std::fmt;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::process;

use futures_lite::future::or;
use nix::sys::signal::SigSet;
use nix::sys::signal::Signal::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use rustix::stdio::stdout;
use tracing::{info, warn};
use wakeful::Shutdown;
use wakeful::signal::unix::{Signal, SignalKind, signal};
use wakeful::time::{Instant, Interval, interval_at};

use crate::args::Args;
use crate::listen::{self, BindError, BoundSockets};
use crate::log::{FailureLines, START, WriteOutcome, millis, try_write_line};
use crate::setup::{self, DescriptorLimit};
use crate::state::Options;
use crate::stats::{Stats, StatsTicker};
use crate::timeouts::Timeouts;
use crate::trace;
use crate::workers::Workers;

/// Why the program could not start, in one line.
#[derive(Debug)]
pub(crate) enum StartError {
    /// An address that cannot be bound.
    Bind(BindError),
    /// Another operation that the system refused.
    System(&'static str, io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Bind(error) => error.fmt(f),
            StartError::System(operation, error) => write!(f, "{operation}: {error}"),
        }
    }
}

/// Runs until a signal ends it.
///
/// # Errors
///
/// Returns an error if it cannot start.
pub(crate) async fn run(args: &Args, limit: DescriptorLimit) -> Result<(), StartError> {
    let mut signals = Signals::install(args.trace.is_some())
        .map_err(|error| StartError::System("install signal handlers", error))?;
    let Some(bound) = bind(args, &mut signals).await? else {
        return Ok(()); // a signal came before it served
    };

    let addresses = bound.addresses();
    let options = options(args, limit, &bound);
    let BoundSockets { per_thread, files } = bound;
    let workers = Workers::start(&options, per_thread, args)
        .map_err(|error| StartError::System("start a server", error))?;
    announce(&addresses);

    let signal = serve(&workers, &mut signals, args).await;
    info!(signal = %signal.name(), "finishing what was received; no new clients");
    drop(files); // before the listeners close, so that no client finds a dead socket
    let second = drain(&workers, &mut signals, args).await;
    options.failures.log_left_out();
    trace::finish(args, 1);
    match second {
        None => Ok(()),
        Some(signal) => process::exit(signal.status()),
    }
}

/// Opens the listening sockets. Returns `None` if a signal ended the program meanwhile, because
/// resolving a name can take many seconds.
async fn bind(args: &Args, signals: &mut Signals) -> Result<Option<BoundSockets>, StartError> {
    let addresses = args.addresses();
    let mut binding = pin!(listen::bind(&addresses, args.backlog, args.threads));
    loop {
        let bound = async { Ok(binding.as_mut().await) };
        match or(bound, async { Err(signals.next().await) }).await {
            Ok(bound) => return bound.map(Some).map_err(StartError::Bind),
            Err(SignalEvent::Shutdown(_)) => return Ok(None),
            Err(SignalEvent::Report) => info!("not listening yet"),
            Err(SignalEvent::Trace) => trace::write(args, 1),
        }
    }
}

/// Returns the settings of each thread's server.
fn options(args: &Args, limit: DescriptorLimit, bound: &BoundSockets) -> Options {
    let threads = args.threads as usize;
    let in_total = match args.max_connections {
        Some(max) => max.get(),
        None => limit.max_connections(bound.count(), args.threads),
    };
    let per_thread = (in_total / threads).max(1);
    let max_connections = per_thread.checked_mul(threads);
    info!(
        target: START,
        descriptor_limit = limit.now(),
        raised_from = limit.raised_from(),
        max_connections,
        "limits"
    );
    Options {
        buffer_size: args.buffer_size as usize,
        max_connections: per_thread,
        timeouts: Timeouts::new(args.idle_timeout, args.write_timeout),
        grace: args.grace,
        shutdown: Shutdown::new(),
        failures: FailureLines::new(args),
    }
}

/// Prints the addresses: on stdout for programs, in the log for people.
fn announce(addresses: &[String]) {
    for address in addresses {
        info!(target: START, %address, "listening");
        let line = format!("listening on {address}\n");
        if try_write_line(stdout(), line.as_bytes()) == WriteOutcome::Dropped {
            warn!(%address, "writing the address to stdout failed; it is only here");
        }
    }
}

/// Serves until a signal asks for the shutdown.
async fn serve(workers: &Workers, signals: &mut Signals, args: &Args) -> ShutdownSignal {
    let mut interval = args
        .stats
        .map(|period| interval_at(Instant::now() + period, period));
    let mut ticker = StatsTicker::start(Stats::default());
    loop {
        let signal = async { Some(signals.next().await) };
        let tick = async {
            next_tick(&mut interval).await;
            None
        };
        match or(signal, tick).await {
            Some(SignalEvent::Shutdown(signal)) => return signal,
            Some(SignalEvent::Report) => workers.report(args.report),
            Some(SignalEvent::Trace) => workers.write_traces(args),
            None => ticker.log(workers.stats().await),
        }
    }
}

/// Waits for the interval of `--stats`; indefinitely if there is none.
async fn next_tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => _ = interval.tick().await,
        None => pending().await,
    }
}

/// Shuts down gracefully. Returns the second signal if one came, which ends the process at once.
async fn drain(workers: &Workers, signals: &mut Signals, args: &Args) -> Option<ShutdownSignal> {
    let mut draining = pin!(workers.drain());
    loop {
        let drained = async { Ok(draining.as_mut().await) };
        match or(drained, async { Err(signals.next().await) }).await {
            Ok(0) => return None,
            Ok(count) => {
                let grace_ms = millis(args.grace);
                warn!(
                    count,
                    grace_ms, "aborted connections that did not finish within the grace period"
                );
                return None;
            }
            Err(SignalEvent::Report) => workers.report(args.report),
            Err(SignalEvent::Trace) => workers.write_traces(args),
            Err(SignalEvent::Shutdown(signal)) => {
                warn!(signal = %signal.name(), "ending at once");
                return Some(signal);
            }
        }
    }
}

// ---- signals ---------------------------------------------------------------------------------------

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignalEvent {
    /// SIGINT or SIGTERM: the end.
    Shutdown(ShutdownSignal),
    /// SIGUSR1: counters and tasks in the log.
    Report,
    /// SIGUSR2: the recording in its file.
    Trace,
}

/// A signal that asks for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ShutdownSignal {
    /// SIGINT, usually from Ctrl-C.
    Interrupt,
    /// SIGTERM, usually from a supervisor.
    Terminate,
}

impl ShutdownSignal {
    /// Returns the signal's name.
    fn name(self) -> &'static str {
        match self {
            ShutdownSignal::Interrupt => "SIGINT",
            ShutdownSignal::Terminate => "SIGTERM",
        }
    }

    /// Returns the status that a shell reports for a program which this signal killed.
    fn status(self) -> i32 {
        match self {
            ShutdownSignal::Interrupt => 128 + 2,
            ShutdownSignal::Terminate => 128 + 15,
        }
    }
}

/// The installed handlers.
#[derive(Debug)]
struct Signals {
    /// `None` if SIGINT was ignored when the program started.
    interrupt: Option<Signal>,
    terminate: Signal,
    user1: Signal,
    /// `None` without `--trace`: then SIGUSR2 has the effect that the system gives it.
    user2: Option<Signal>,
}

impl Signals {
    /// Installs the handlers, with their signals blocked. One that arrives meanwhile is delivered
    /// afterwards, when there is a listener for it. They are unblocked even if the parent has blocked
    /// them, because only SIGKILL could end such a server. Threads that start later inherit the mask.
    ///
    /// A parent that ignores SIGINT means it for its children as well: a script's background job must
    /// not end by a Ctrl-C for the script. So an ignored SIGINT stays ignored. SIGTERM is for this
    /// process only and is always caught.
    fn install(traces: bool) -> io::Result<Signals> {
        let mut signals: SigSet = [SIGINT, SIGTERM, SIGUSR1].into_iter().collect();
        if traces {
            signals.add(SIGUSR2);
        }
        signals.thread_block()?;
        let interrupt = match setup::is_ignored(SIGINT) {
            true => None,
            false => Some(signal(SignalKind::interrupt())?),
        };
        let installed = Signals {
            interrupt,
            terminate: signal(SignalKind::terminate())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: match traces {
                true => Some(signal(SignalKind::user_defined2())?),
                false => None,
            },
        };
        signals.thread_unblock()?;
        Ok(installed)
    }

    /// Waits for the next signal.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no signal.
    async fn next(&mut self) -> SignalEvent {
        let interrupt = async {
            match &mut self.interrupt {
                Some(interrupt) => _ = interrupt.recv().await,
                None => pending().await,
            }
            SignalEvent::Shutdown(ShutdownSignal::Interrupt)
        };
        let terminate = async {
            self.terminate.recv().await;
            SignalEvent::Shutdown(ShutdownSignal::Terminate)
        };
        let user1 = async {
            self.user1.recv().await;
            SignalEvent::Report
        };
        let user2 = async {
            match &mut self.user2 {
                Some(user2) => _ = user2.recv().await,
                None => pending().await,
            }
            SignalEvent::Trace
        };
        or(or(interrupt, terminate), or(user1, user2)).await
    }
}
