//! `flavors serve`: listens, says where, and hands the listener to a model.
//!
//! Everything here is the same for all models, so that they differ in nothing but how they wait: the
//! listening socket, the descriptor limit, and the end by SIGTERM (see [`crate::sys::signal`]).

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use wakeful_net::{AcceptErrorKind, classify_accept_error};

use crate::args::{Model, Serve, Trigger};
use crate::end::log;
use crate::{models, sys};

/// Connections that the kernel keeps until they are accepted; it caps this at net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// How long accepting pauses when descriptors have run out. No event tells when one comes free
/// elsewhere in the system, so somebody has to try again without one.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// After SIGTERM the clients' inputs end; those who then do not take their answers are cut off after
/// this.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// What a model is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// The largest length that a frame may announce.
    pub(crate) max_frame: usize,
    /// For the event loop.
    pub(crate) trigger: Trigger,
    /// For the threads.
    pub(crate) max_threads: usize,
}

pub(crate) fn serve(args: &Serve) -> io::Result<ExitCode> {
    let settings = Settings {
        max_frame: args.max_frame,
        trigger: args.trigger,
        max_threads: args.max_threads as usize,
    };
    raise_descriptor_limit();
    let ring = match args.model {
        // Asked for first, so that a kernel that refuses is noticed before anybody can connect.
        Model::Completion => match sys::uring::Ring::new() {
            Ok(ring) => Some(ring),
            Err(error) => {
                let mut stdout = io::stdout();
                writeln!(stdout, "skipped: the kernel refuses io_uring: {error}").ok();
                return Ok(ExitCode::SUCCESS);
            }
        },
        _ => None,
    };
    let listener = listen(args.bind)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", args.bind)))?;
    // For as long as the process lives: the signal handler knows it by its number.
    let listener: &'static TcpListener = Box::leak(Box::new(listener));
    sys::signal::install(listener)?;
    let address = listener.local_addr()?;
    if matches!(args.model, Model::Blocking | Model::BusyWait) {
        log(format_args!(
            "the model {} serves one client at a time, on purpose: a second one waits until the \
             first leaves",
            args.model
        ));
    }
    // Nobody may be listening to this, and the server serves all the same.
    writeln!(io::stdout(), "listening on tcp://{address}").ok();
    match (args.model, ring) {
        (Model::Blocking, _) => models::blocking::serve(listener, settings),
        (Model::Threads, _) => models::threads::serve(listener, settings),
        (Model::BusyWait, _) => models::busy_wait::serve(listener, settings),
        (Model::EventLoop, _) => models::event_loop::serve(listener, settings),
        (Model::Async, _) => models::tasks::serve(listener, settings),
        (Model::Completion, Some(ring)) => models::completion::serve(listener, settings, ring),
        (Model::Completion, None) => unreachable!("it was made above"),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restarted server gets its port back from connections that are still in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// From the low limit that programs start with, for the sake of select(2), to the one they may have.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Without it the server has room for fewer clients, and says so when they come.
    setrlimit(Resource::Nofile, wanted).ok();
}

/// What a model does after accept(2) has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum AfterAccept {
    /// Accept the next one.
    Next,
    /// Accept again after [`PAUSE`], and serve the others meanwhile.
    Pause,
    /// SIGTERM has shut the listener down: end.
    Stop,
}

/// How accepting has fared lately, for one line per shortage and not one per attempt.
#[derive(Debug, Default)]
pub(crate) struct Accepting {
    last_short: Option<Instant>,
}

impl Accepting {
    /// A shortage that comes back within this is still the same one.
    const LULL: Duration = Duration::from_secs(5);

    /// Accepting has failed.
    ///
    /// # Errors
    ///
    /// When it can never succeed again.
    pub(crate) fn failed(&mut self, error: io::Error) -> io::Result<AfterAccept> {
        if sys::signal::is_stopping() {
            return Ok(AfterAccept::Stop);
        }
        match classify_accept_error(&error) {
            AcceptErrorKind::Skip => Ok(AfterAccept::Next),
            AcceptErrorKind::Fatal => Err(error),
            _ => {
                let before = self.last_short.replace(Instant::now());
                if before.is_none_or(|time| time.elapsed() > Self::LULL) {
                    log(format_args!(
                        "accept: {error}; clients wait until it is possible"
                    ));
                }
                Ok(AfterAccept::Pause)
            }
        }
    }
}
