//! `flavors serve`: binds the listener, prints its address and runs a model with it.
//!
//! Everything here is shared by all models, so that they differ only in how they wait: the
//! listening socket, the descriptor limit, and the shutdown on SIGTERM (see
//! [`crate::sys::signal`]).

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

/// Length of the queue of connections that are not accepted yet; capped at net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// Delay before accepting again when descriptors have run out. A timer is needed, because no
/// event reports that a descriptor was closed in another process.
pub(crate) const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Time from SIGTERM, which ends the clients' input, to the close of clients that do not read their
/// answers.
pub(crate) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Settings of a model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Maximum length of a frame.
    pub(crate) max_frame: usize,
    /// Trigger mode of the event loop.
    pub(crate) trigger: Trigger,
    /// Maximum number of client threads of the model `threads`.
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
        // Created before the listener, so that no client can connect if the kernel refuses
        // io_uring.
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
        .map_err(|error| io::Error::new(error.kind(), format!("bind {}: {error}", args.bind)))?;
    // Never closed, because the signal handler uses its descriptor number.
    let listener: &'static TcpListener = Box::leak(Box::new(listener));
    sys::signal::install(listener)?;
    let address = listener.local_addr()?;
    if matches!(args.model, Model::Blocking | Model::BusyWait) {
        log(format_args!(
            "the model {} serves one client at a time, by design: a second client waits until the \
             first disconnects",
            args.model
        ));
    }
    // Stdout can be closed. The server runs nevertheless.
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
    // Lets a restarted server bind while connections to its port are in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Raises the limit on descriptors to the hard limit. The default soft limit is low because of
/// select(2).
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // An error means fewer clients. A shortage is logged when it occurs.
    setrlimit(Resource::Nofile, wanted).ok();
}

/// Next step of a model after accept(2) has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum AfterAccept {
    /// Accept the next client.
    Continue,
    /// Accept again after [`ACCEPT_RETRY_DELAY`], and serve the connected clients until then.
    Retry,
    /// Shut down, because SIGTERM has shut the listener down.
    Stop,
}

/// Classification of accept errors. Logs one line per shortage instead of one per attempt.
#[derive(Debug, Default)]
pub(crate) struct AcceptErrors {
    last_shortage: Option<Instant>,
}

impl AcceptErrors {
    /// Time without an error after which a shortage is logged again.
    const NEW_INCIDENT_AFTER: Duration = Duration::from_secs(5);

    /// Returns the next step after an error of accept(2).
    ///
    /// # Errors
    ///
    /// If no later accept can succeed.
    pub(crate) fn handle(&mut self, error: io::Error) -> io::Result<AfterAccept> {
        if sys::signal::is_stopping() {
            return Ok(AfterAccept::Stop);
        }
        match classify_accept_error(&error) {
            AcceptErrorKind::Skip => Ok(AfterAccept::Continue),
            AcceptErrorKind::Fatal => Err(error),
            _ => {
                let before = self.last_shortage.replace(Instant::now());
                if before.is_none_or(|time| time.elapsed() > Self::NEW_INCIDENT_AFTER) {
                    log(format_args!("accept: {error}; retrying"));
                }
                Ok(AfterAccept::Retry)
            }
        }
    }
}
