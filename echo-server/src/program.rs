//! The program from start to end: bind, serve, drain. The root future of the main thread.
//!
//! Called by `main` with the arguments. Signals and the interval of `--stats` are waited for here,
//! in the root future, so that there is exactly one task per connection and one per socket.
//!
//! The signal handlers are installed first. From then on no signal is lost, also while names are
//! resolved and sockets opened.

use std::fmt;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::process;
use std::time::Duration;

use futures_lite::future::or;
use rustix::stdio::stdout;
use tracing::{info, warn};
use wakeful::Shutdown;
use wakeful::signal::unix::{Signal, SignalKind, signal};
use wakeful::time::{Instant, Interval, interval_at};

use crate::args::Args;
use crate::listen::{self, BindError, BoundSockets};
use crate::log::{WriteOutcome, try_write_line};
use crate::setup::DescriptorLimit;
use crate::state::Options;
use crate::stats::{Stats, StatsTicker};
use crate::timeouts::Timeouts;
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
    let mut signals =
        Signals::install().map_err(|error| StartError::System("install signal handlers", error))?;
    let Some(bound) = bind(args, &mut signals).await? else {
        return Ok(()); // a signal came before it served
    };

    let addresses = bound.addresses();
    let options = options(args, limit, &bound);
    let BoundSockets { per_thread, files } = bound;
    let workers = Workers::start(&options, per_thread, args)
        .map_err(|error| StartError::System("start a server", error))?;
    announce(&addresses);

    let signal = serve(&workers, &mut signals, args.stats).await;
    info!(
        "{}: finishing what was received; no new clients",
        signal.name()
    );
    drop(files); // before the listeners close, so that no client finds a dead socket
    drain(&workers, &mut signals, args.grace).await;
    Ok(())
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
    info!("{limit}; at most {} connections", per_thread * threads);
    Options {
        buffer_size: args.buffer_size as usize,
        max_connections: per_thread,
        timeouts: Timeouts::new(args.idle_timeout, args.write_timeout),
        grace: args.grace,
        shutdown: Shutdown::new(),
    }
}

/// Prints the addresses: on stdout for programs, in the log for people.
fn announce(addresses: &[String]) {
    for address in addresses {
        info!(%address, "listening");
        let line = format!("listening on {address}\n");
        if try_write_line(stdout(), line.as_bytes()) == WriteOutcome::Dropped {
            warn!(%address, "writing the address to stdout failed; it is only here");
        }
    }
}

/// Serves until a signal asks for the shutdown.
async fn serve(
    workers: &Workers,
    signals: &mut Signals,
    stats: Option<Duration>,
) -> ShutdownSignal {
    let mut interval = stats.map(|period| interval_at(Instant::now() + period, period));
    let mut ticker = StatsTicker::start(Stats::default());
    loop {
        let signal = async { Some(signals.next().await) };
        let tick = async {
            next_tick(&mut interval).await;
            None
        };
        match or(signal, tick).await {
            Some(SignalEvent::Shutdown(signal)) => return signal,
            Some(SignalEvent::Report) => workers.report(),
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

/// Shuts down gracefully. A second signal ends the process at once.
async fn drain(workers: &Workers, signals: &mut Signals, grace: Duration) {
    let mut draining = pin!(workers.drain());
    loop {
        let drained = async { Ok(draining.as_mut().await) };
        match or(drained, async { Err(signals.next().await) }).await {
            Ok(0) => return,
            Ok(count) => {
                warn!("aborted connections that did not finish within {grace:?}: {count}");
                return;
            }
            Err(SignalEvent::Report) => workers.report(),
            Err(SignalEvent::Shutdown(signal)) => {
                warn!("{}: ending at once", signal.name());
                process::exit(signal.status());
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
    interrupt: Signal,
    terminate: Signal,
    user1: Signal,
}

impl Signals {
    fn install() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            user1: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the next signal.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no signal.
    async fn next(&mut self) -> SignalEvent {
        let interrupt = async {
            self.interrupt.recv().await;
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
        or(or(interrupt, terminate), user1).await
    }
}
