//! The program from start to end: bind, serve, drain. The root future of the main thread.
//!
//! Called by `main` with the arguments. What the process waits for besides its clients (signals,
//! the clock of `--stats`) is waited for here, in the root future, so that there is exactly one
//! task per connection and one per listening socket.

use std::fmt;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::process;
use std::time::Duration;

use rustix::stdio::stdout;
use tracing::{info, warn};
use wakeful::time::{Instant, Interval, interval_at};

use crate::args::Args;
use crate::limits::DescriptorLimit;
use crate::listen::{self, BindError, Bound};
use crate::output::{Put, put};
use crate::patience::Patience;
use crate::race::{Either, race};
use crate::report::{Figures, Pulse};
use crate::server::Options;
use crate::signals::{Signals, Stop, Wish};
use crate::team::Team;

/// Why the program could not start, in one line.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An address cannot be listened on.
    Bind(BindError),
    /// The system refused something else: what, and why.
    System(&'static str, io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Bind(error) => error.fmt(f),
            Failure::System(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

/// Runs until a signal ends it.
///
/// # Errors
///
/// When it cannot start.
pub(crate) async fn run(args: &Args, limit: DescriptorLimit) -> Result<(), Failure> {
    let mut signals =
        Signals::install().map_err(|error| Failure::System("install signal handlers", error))?;
    let Some(bound) = bind(args, &mut signals).await? else {
        return Ok(()); // told to end before it had begun
    };

    let names = bound.names();
    let options = options(args, limit, &bound);
    let Bound { per_thread, files } = bound;
    let team = Team::start(options, per_thread, args)
        .map_err(|error| Failure::System("start a server", error))?;
    announce(&names);

    let stop = serve(&team, &mut signals, args.stats).await;
    info!(
        "{}: finishing what was received; no new clients",
        stop.name()
    );
    drop(files); // the names go first, then the listeners
    end(&team, &mut signals, args.grace).await;
    Ok(())
}

/// Opens the listening sockets; `None` when a signal ended the program meanwhile. (Looking up a
/// name can take many seconds.)
async fn bind(args: &Args, signals: &mut Signals) -> Result<Option<Bound>, Failure> {
    let addresses = args.addresses();
    let mut binding = pin!(listen::bind(&addresses, args.backlog, args.threads));
    loop {
        match race(binding.as_mut(), signals.next()).await {
            Either::First(bound) => return bound.map(Some).map_err(Failure::Bind),
            Either::Second(Wish::Stop(_)) => return Ok(None),
            Either::Second(Wish::Report) => info!("not listening yet"),
        }
    }
}

/// What each thread's server is made from.
fn options(args: &Args, limit: DescriptorLimit, bound: &Bound) -> Options {
    let threads = args.threads as usize;
    let in_all = match args.max_connections {
        Some(most) => most.get(),
        None => limit.room_for_connections(bound.sockets(), args.threads),
    };
    let options = Options {
        buffer_size: args.buffer_size as usize,
        max_connections: (in_all / threads).max(1),
        patience: Patience::new(args.idle_timeout, args.write_timeout),
    };
    info!("{limit}; at most {in_all} connections");
    options
}

/// Tells where the server listens: on stdout for programs, in the log for people.
fn announce(names: &[String]) {
    for name in names {
        info!(address = %name, "listening");
        if put(stdout(), format!("listening on {name}\n").as_bytes()) == Put::Dropped {
            warn!("stdout cannot take the address now, so it is only here");
        }
    }
}

/// Serves until a signal asks for the end.
async fn serve(team: &Team, signals: &mut Signals, stats: Option<Duration>) -> Stop {
    let mut clock = stats.map(|period| interval_at(Instant::now() + period, period));
    let mut pulse = Pulse::start(Figures::default());
    loop {
        match race(signals.next(), next_tick(&mut clock)).await {
            Either::First(Wish::Stop(stop)) => return stop,
            Either::First(Wish::Report) => team.report(),
            Either::Second(()) => pulse.beat(team.figures().await),
        }
    }
}

/// Waits for the clock of `--stats`, for ever when there is none.
async fn next_tick(clock: &mut Option<Interval>) {
    match clock {
        Some(clock) => _ = clock.tick().await,
        None => pending().await,
    }
}

/// The graceful end; a second signal makes it a sudden one.
async fn end(team: &Team, signals: &mut Signals, grace: Duration) {
    let mut draining = pin!(team.drain(grace));
    loop {
        match race(draining.as_mut(), signals.next()).await {
            Either::First(0) => return,
            Either::First(count) => {
                warn!("connections cut off because they were not done within {grace:?}: {count}");
                return;
            }
            Either::Second(Wish::Report) => team.report(),
            Either::Second(Wish::Stop(stop)) => {
                warn!("{}: ending at once", stop.name());
                process::exit(stop.status());
            }
        }
    }
}
