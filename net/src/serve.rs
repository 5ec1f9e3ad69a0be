//! A server's accept loop: a task per connection, limits, pauses and the graceful shutdown.
//!
//! [`serve`] returns a [`Serve`], a future that accepts and spawns; its builder methods configure
//! it. Called by users; calls [`Listener`] for a connection, `classify_accept_error` to classify an error,
//! and [`connections`] for what is open.
//!
//! ```text
//!   Accepting --- shutdown ---> Backlog -- queue is empty --> Draining -- all closed --> end
//!     |  ^  |                     |  ^                          ^  |
//!     v  |  |                     v  |                          |  +-- timeout, or
//!    spawn  |                    spawn                          |      forced shutdown
//!    a task |                                                   |          |
//!           +--- fatal error -----------------------------------+          v
//!                                                                       Aborting
//!   max_connections: until one closes                                  until all are dropped
//!   no descriptors:  until one closes, or 10, 20, 40, 80, 100 ms
//! ```
//!
//! After an error the listener stays ready while clients wait, so retrying at once would spin. The
//! pause has to end by itself, because no event reports a descriptor that another part of the
//! process has closed.
//!
//! `Backlog`: clients that connected before the shutdown are accepted. The listener's readiness can
//! be older than they are, so each round first lets the runtime ask the kernel.

mod connections;

use std::fmt;
use std::future::{Future, Pending, pending};
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use wakeful::task::{self, YieldNow, yield_now};
use wakeful::time::{Instant, Sleep, sleep};

pub use connections::Connections;
use connections::Table;

use crate::call_site::CallSite;
use crate::listen::{AcceptErrorKind, classify_accept_error};
use crate::tcp::{TcpListener, TcpStream};
use crate::unix::{self, UnixListener, UnixStream};

/// Name of the operation in the task dump.
const NAME: &str = "serve";

/// Default of [`Serve::shutdown_timeout`].
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// First and longest pause after an error; it doubles in between.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Errors less than this apart belong to one incident, which is reported once.
const NEW_INCIDENT_AFTER: Duration = Duration::from_secs(5);

/// Bound on the rounds of `Backlog`, because clients can connect faster than they are accepted.
const BACKLOG_ROUNDS: u32 = 64;

/// A source of connections for [`serve`]: [`TcpListener`], [`UnixListener`], or a wrapper.
///
/// Implement it to prepare each connection before its handler starts, or to serve several kinds of
/// sockets with one handler.
///
/// # Examples
///
/// ```
/// use std::io;
/// use std::net::SocketAddr;
/// use std::task::{Context, Poll};
/// use wakeful_net::{Listener, TcpListener, TcpStream};
///
/// /// Sends small messages at once.
/// struct NoDelay(TcpListener);
///
/// impl Listener for NoDelay {
///     type Stream = TcpStream;
///     type Address = SocketAddr;
///
///     fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
///         self.0.poll_accept(cx).map_ok(|(stream, peer)| {
///             stream.set_nodelay(true).ok(); // an error means that the client has left already
///             (stream, peer)
///         })
///     }
/// }
/// ```
pub trait Listener {
    /// A connection.
    type Stream: 'static;
    /// The address of its peer.
    type Address: 'static;

    /// Polls for the next connection.
    ///
    /// An implementation that is not based on a listener of this crate should return `Pending` now
    /// and then, or charge the task's I/O budget: [`Serve`] accepts until it does.
    ///
    /// # Errors
    ///
    /// [`classify_accept_error`] decides what [`Serve`] does about an error: pass over the
    /// connection, pause, or end.
    ///
    /// [`classify_accept_error`]: crate::classify_accept_error()
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Stream, Self::Address)>>;

    /// Like `poll_accept`, for an operation with this name and location in the task dump.
    #[doc(hidden)]
    fn poll_accept_at(
        &self,
        call_site: CallSite,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Self::Stream, Self::Address)>> {
        let _ = call_site;
        self.poll_accept(cx)
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    type Address = SocketAddr;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        TcpListener::poll_accept(self, cx)
    }

    fn poll_accept_at(
        &self,
        call_site: CallSite,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.poll_accept_for(call_site, cx)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;
    type Address = unix::SocketAddr;

    fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(UnixStream, unix::SocketAddr)>> {
        UnixListener::poll_accept(self, cx)
    }

    fn poll_accept_at(
        &self,
        call_site: CallSite,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(UnixStream, unix::SocketAddr)>> {
        self.poll_accept_for(call_site, cx)
    }
}

/// Accepts connections and runs `handler` on each, in a task of its own.
///
/// The task dump gives the line of this call as their spawn location.
///
/// The returned future serves while it is polled. It ends only by a
/// [graceful shutdown](Serve::with_graceful_shutdown) or a fatal error. The methods of [`Serve`] set
/// limits.
///
/// The handler receives the stream and the address of its peer. It returns nothing and handles its
/// own errors. A handler that panics ends its connection; the runtime reports the panic.
///
/// Errors of accepting are treated as [`classify_accept_error`] classifies them:
///
/// - A client that left before it was accepted is passed over.
/// - If descriptors or memory have run out, accepting pauses until a connection closes, for at most
///   100 ms. Open connections are served meanwhile.
/// - An error that makes the listener unusable ends the server.
///
/// The future resolves to the number of connections that were aborted.
///
/// State for all connections belongs to the closure: write `async move |stream, peer|`, and lend or clone what
/// it has captured, because it is called for each connection and cannot give it away. State that changes is in
/// a `Cell` or a `RefCell`. An `Rc` is needed only for tasks that the handler spawns.
///
/// # Errors
///
/// Returns the error of an unusable listener, after the open connections have ended or the
/// [shutdown timeout](Serve::shutdown_timeout) has elapsed.
///
/// # Panics
///
/// The future panics if it is polled on a thread that does not run the listener's runtime.
///
/// # Cancel safety
///
/// Dropping the future closes the listener. The tasks of its connections go on.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use wakeful::Shutdown;
/// use wakeful_net::{TcpListener, TcpStream, serve};
///
/// wakeful::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let address = listener.local_addr()?;
///     let shutdown = Shutdown::new();
///
///     let server = serve(listener, async |stream, peer| {
///         if let Err(err) = echo(stream).await {
///             eprintln!("{peer}: {err}");
///         }
///     })
///     .max_connections(1000)
///     .with_graceful_shutdown(shutdown.cancelled()) // in a program: signal::ctrl_c()
///     .shutdown_timeout(Duration::from_secs(10));
///     let server = wakeful::spawn(server);
///
///     let client = TcpStream::connect(address).await?;
///     client.write_all(b"hello").await?;
///     client.read_exact(&mut [0; 5]).await?;
///     drop(client);
///
///     shutdown.cancel();
///     assert_eq!(server.await.unwrap()?, 0, "no connection was aborted");
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
///
/// async fn echo(stream: TcpStream) -> std::io::Result<()> {
///     let mut buf = [0; 4096];
///     loop {
///         match stream.read(&mut buf).await? {
///             0 => return Ok(()),
///             n => stream.write_all(&buf[..n]).await?,
///         }
///     }
/// }
/// ```
///
/// [`classify_accept_error`]: crate::classify_accept_error()
#[track_caller]
pub fn serve<L, H>(listener: L, handler: H) -> Serve<L, H>
where
    L: Listener,
    H: AsyncFn(L::Stream, L::Address) + 'static,
{
    Serve {
        listener: Some(listener),
        handler: Rc::new(handler),
        shutdown: pending(),
        force: None,
        on_error: None,
        timeout: SHUTDOWN_TIMEOUT,
        table: Connections::new().table(),
        info: Box::new(|_stream, _peer| ()),
        accepted: 0,
        phase: Phase::Accepting,
        backoff: Backoff::new(),
        caller: Location::caller(),
    }
}

pin_project! {
    /// The future of [`serve`], and the builder that configures it.
    #[must_use = "futures do nothing unless polled or awaited"]
    pub struct Serve<L: Listener, H, F = Pending<()>, T = ()> {
        // `None` once accepting has ended.
        listener: Option<L>,
        handler: Rc<H>,
        #[pin]
        shutdown: F,
        force: Option<Force>,
        on_error: Option<Box<dyn FnMut(&io::Error)>>,
        timeout: Duration,
        table: Rc<Table<T>>,
        info: Info<L, T>,
        accepted: u64,
        phase: Phase,
        backoff: Backoff,
        caller: &'static Location<'static>,
    }
}

/// Creates the signal of [`Serve::with_forced_shutdown`].
type Force = Box<dyn FnOnce() -> Signal>;

type Signal = Pin<Box<dyn Future<Output = ()>>>;

/// Creates the info of a connection.
type Info<L, T> = Box<dyn Fn(&<L as Listener>::Stream, &<L as Listener>::Address) -> T>;

/// State of a [`Serve`]; see the diagram above.
enum Phase {
    Accepting,
    /// The next turn of the runtime, and the remaining rounds.
    Backlog(YieldNow, u32),
    Draining(Draining),
    /// Number of aborted connections, and the fatal error.
    Aborting(usize, Option<io::Error>),
}

/// State of [`Phase::Draining`].
struct Draining {
    timeout: Pin<Box<Sleep>>,
    forced: Option<Signal>,
    /// The fatal error that ended accepting.
    error: Option<io::Error>,
}

impl<L: Listener, H, F, T> Serve<L, H, F, T> {
    /// Limits the number of open connections. Further clients wait in the listener's queue.
    ///
    /// Without it only the descriptors of the process are a limit. To share a limit between
    /// several listeners, use [`connections`](Self::connections); the later call of the two wins.
    ///
    /// # Panics
    ///
    /// If `max` is 0.
    #[track_caller]
    pub fn max_connections(self, max: usize) -> Serve<L, H, F> {
        self.connections(Connections::with_limit(max))
    }

    /// Adds this server's connections to `connections`, with its limit.
    ///
    /// The limit counts the connections of all its servers. A shutdown of this server waits for
    /// its own connections only, and aborts no others.
    pub fn connections(self, connections: Connections) -> Serve<L, H, F> {
        self.connections_with(connections, |_stream, _peer| ())
    }

    /// Like [`connections`](Self::connections), with an info for each connection.
    ///
    /// `info` is called with each accepted connection and the address of its peer.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// use wakeful_net::{Connections, serve};
    ///
    /// let connections = Connections::new();
    /// let server = serve(listener, async |_stream, _peer| {})
    ///     .connections_with(connections.clone(), |_stream, peer| *peer);
    /// wakeful::spawn(server);
    /// // Later, such as on SIGUSR1:
    /// for (task, peer) in connections.iter() {
    ///     println!("task {} serves {peer}", task.id());
    /// }
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn connections_with<U>(
        self,
        connections: Connections<U>,
        info: impl Fn(&L::Stream, &L::Address) -> U + 'static,
    ) -> Serve<L, H, F, U> {
        Serve {
            table: connections.table(),
            info: Box::new(info),
            shutdown: self.shutdown,
            listener: self.listener,
            handler: self.handler,
            force: self.force,
            on_error: self.on_error,
            timeout: self.timeout,
            accepted: self.accepted,
            phase: self.phase,
            backoff: self.backoff,
            caller: self.caller,
        }
    }

    /// Sets how long connections may take to end after a shutdown has begun. The tasks of those
    /// that are open after that are aborted.
    ///
    /// The default is 5 seconds. [`Duration::MAX`] waits indefinitely.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Shuts the server down gracefully when `shutdown` is ready; its output is ignored.
    ///
    /// The server accepts the clients that are in the listener's queue already, if the limit
    /// permits, and closes the listener. Then it waits until the connections have ended, at most
    /// for the [shutdown timeout](Self::shutdown_timeout).
    ///
    /// Any future is accepted, such as `wakeful::signal::ctrl_c()` or `shutdown_signal()`. A handler does not notice
    /// the shutdown by itself, so an idle connection takes the whole timeout. Use
    /// [`Shutdown::cancelled`] here and [`Shutdown::run_until_cancelled`] in the handler, around
    /// the wait for the next request, to end idle connections at once.
    ///
    /// [`Shutdown::cancelled`]: wakeful::Shutdown::cancelled
    /// [`Shutdown::run_until_cancelled`]: wakeful::Shutdown::run_until_cancelled
    ///
    /// # Examples
    ///
    /// Ctrl-C ends idle connections at once and lets busy ones finish; a second Ctrl-C aborts them:
    ///
    /// ```no_run
    /// use wakeful::{Shutdown, signal::ctrl_c};
    /// use wakeful_net::{TcpListener, TcpStream, serve};
    ///
    /// # wakeful::block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:8080").await?;
    /// let shutdown = Shutdown::new();
    /// let in_handler = shutdown.clone();
    /// serve(listener, async move |stream: TcpStream, _peer| {
    ///     let mut buf = [0; 4096];
    ///     while let Some(Ok(n @ 1..)) = in_handler.run_until_cancelled(stream.read(&mut buf)).await {
    ///         if stream.write_all(&buf[..n]).await.is_err() {
    ///             return;
    ///         }
    ///     }
    /// })
    /// .with_graceful_shutdown(async move {
    ///     ctrl_c().await.ok();
    ///     shutdown.cancel();
    /// })
    /// .with_forced_shutdown(ctrl_c)
    /// .await
    /// # }).unwrap();
    /// ```
    pub fn with_graceful_shutdown<G: Future>(self, shutdown: G) -> Serve<L, H, G, T> {
        Serve {
            shutdown,
            listener: self.listener,
            handler: self.handler,
            force: self.force,
            on_error: self.on_error,
            timeout: self.timeout,
            table: self.table,
            info: self.info,
            accepted: self.accepted,
            phase: self.phase,
            backoff: self.backoff,
            caller: self.caller,
        }
    }

    /// Aborts the open connections when a second signal arrives during the shutdown.
    ///
    /// `signal` is called when the server begins to wait for its connections, and its future is
    /// awaited from then on. So `with_forced_shutdown(ctrl_c)` is a second Ctrl-C, whatever the
    /// first was. Has no effect before the shutdown.
    pub fn with_forced_shutdown<S, G>(mut self, signal: S) -> Self
    where
        S: FnOnce() -> G + 'static,
        G: Future + 'static,
    {
        self.force = Some(Box::new(|| {
            let signal = signal();
            Box::pin(async {
                signal.await;
            })
        }));
        self
    }

    /// Calls `report` with an error that makes accepting pause, once per incident.
    ///
    /// Errors that follow one another within 5 seconds are one incident, even if a connection was
    /// accepted in between. A shortage of descriptors often alternates like this.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// wakeful_net::serve(listener, async |_stream, _peer| {})
    ///     .on_accept_error(|err| eprintln!("accept failed, clients have to wait: {err}"))
    ///     .await
    /// # }).unwrap();
    /// ```
    pub fn on_accept_error(mut self, report: impl FnMut(&io::Error) + 'static) -> Self {
        self.on_error = Some(Box::new(report));
        self
    }
}

impl<L, H, F, T> Future for Serve<L, H, F, T>
where
    L: Listener,
    H: AsyncFn(L::Stream, L::Address) + 'static,
    F: Future,
    T: 'static,
{
    type Output = io::Result<usize>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let this = self.as_mut().project();
            match this.phase {
                Phase::Accepting => {
                    // Before accepting, which with many waiting clients never has to wait.
                    if this.shutdown.poll(cx).is_ready() {
                        *this.phase = Phase::Backlog(yield_now(), BACKLOG_ROUNDS);
                        continue;
                    }
                    let err = ready!(self.as_mut().poll_accept(cx));
                    self.as_mut().stop_accepting(Some(err));
                }
                Phase::Backlog(turn, rounds) => {
                    ready!(Pin::new(turn).poll(cx));
                    let (rounds, before) = (*rounds - 1, *this.accepted);
                    let fatal = match self.as_mut().poll_accept(cx) {
                        Poll::Ready(err) => Some(err),
                        // Pending after some can be the I/O budget, so the queue is asked again.
                        Poll::Pending if self.accepted > before && rounds > 0 => {
                            *self.as_mut().project().phase = Phase::Backlog(yield_now(), rounds);
                            continue;
                        }
                        Poll::Pending => None,
                    };
                    self.as_mut().stop_accepting(fatal);
                }
                Phase::Draining(draining) => {
                    this.table.register(cx);
                    if this.table.len() == 0 {
                        return Poll::Ready(outcome(0, draining.error.take()));
                    }
                    if draining.poll_over(cx).is_pending() {
                        return Poll::Pending;
                    }
                    let error = draining.error.take();
                    *this.phase = Phase::Aborting(this.table.abort_all(), error);
                }
                Phase::Aborting(count, error) => {
                    this.table.register(cx);
                    if this.table.len() == 0 {
                        return Poll::Ready(outcome(*count, error.take()));
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

/// Returns the fatal error, or else the number of aborted connections.
fn outcome(aborted: usize, error: Option<io::Error>) -> io::Result<usize> {
    error.map_or(Ok(aborted), Err)
}

impl Draining {
    /// Ready when the shutdown timeout has elapsed or is cut short.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(forced) = &mut self.forced
            && forced.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(());
        }
        self.timeout.as_mut().poll(cx).map(drop)
    }
}

impl<L, H, F, T> Serve<L, H, F, T>
where
    L: Listener,
    H: AsyncFn(L::Stream, L::Address) + 'static,
    T: 'static,
{
    /// Accepts connections until none is waiting, the limit is reached or the server pauses.
    /// Ready with a fatal error.
    ///
    /// The loop is bounded, because each round charges the task's I/O budget.
    fn poll_accept(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Error> {
        let this = self.project();
        let Some(listener) = this.listener else {
            return Poll::Pending;
        };
        loop {
            if this.table.connections().is_full() {
                this.table.register(cx);
                if this.table.connections().is_full() {
                    return Poll::Pending;
                }
            }
            ready!(this.backoff.poll_over(this.table, cx));
            match ready!(listener.poll_accept_at((NAME, this.caller), cx)) {
                Ok((stream, peer)) => {
                    *this.accepted += 1;
                    this.backoff.reset();
                    let info = (this.info)(&stream, &peer);
                    spawn(this.handler, (stream, peer), this.table, info, this.caller);
                }
                Err(err) => match classify_accept_error(&err) {
                    AcceptErrorKind::Skip => {}
                    AcceptErrorKind::Fatal => return Poll::Ready(err),
                    AcceptErrorKind::Backoff => {
                        this.table.take_one_closed(); // only what closes from now on counts
                        let is_new = this.backoff.start(this.caller);
                        if is_new && let Some(report) = this.on_error {
                            report(&err);
                        }
                    }
                },
            }
        }
    }

    /// Closes the listener and starts to wait for the connections.
    fn stop_accepting(self: Pin<&mut Self>, error: Option<io::Error>) {
        let this = self.project();
        *this.listener = None;
        let timeout = sleep(*this.timeout).operation(NAME).location(this.caller);
        *this.phase = Phase::Draining(Draining {
            timeout: Box::pin(timeout),
            forced: this.force.take().map(|signal| signal()),
            error,
        });
    }
}

/// Spawns the task of a connection.
fn spawn<H, S, A, T>(
    handler: &Rc<H>,
    (stream, peer): (S, A),
    table: &Rc<Table<T>>,
    info: T,
    caller: &'static Location<'static>,
) where
    H: AsyncFn(S, A) + 'static,
    S: 'static,
    A: 'static,
    T: 'static,
{
    let guard = table.reserve();
    let index = guard.index();
    let handler = Rc::clone(handler);
    let task = task::Builder::new().spawned_at(caller).spawn(async move {
        handler(stream, peer).await;
        // Dropped after the connection, which the handler has consumed. The guard is captured, but
        // not moved into a variable, which would be stored a second time in each task.
        let _ = &guard;
    });
    // A runtime that is ending drops the future at once, and the guard with it. Spawning returns
    // no error: the `Result` is tokio's.
    if let Ok(task) = task
        && !task.is_finished()
    {
        table.insert(index, task.abort_handle(), info);
    }
}

/// Pauses of accepting after an error.
struct Backoff {
    timer: Option<Pin<Box<Sleep>>>,
    next_delay: Duration,
    /// Time of the last error; see [`NEW_INCIDENT_AFTER`].
    last_error: Option<Instant>,
}

impl Backoff {
    fn new() -> Self {
        Backoff {
            timer: None,
            next_delay: SHORTEST_PAUSE,
            last_error: None,
        }
    }

    /// Starts a pause, twice as long as the last one. Returns whether this is a new incident.
    fn start(&mut self, caller: &'static Location<'static>) -> bool {
        let pause = sleep(self.next_delay).operation(NAME).location(caller);
        self.timer = Some(Box::pin(pause));
        self.next_delay = (self.next_delay * 2).min(LONGEST_PAUSE);
        let now = Instant::now();
        let last = self.last_error.replace(now);
        last.is_none_or(|last| now.duration_since(last) >= NEW_INCIDENT_AFTER)
    }

    /// Returns to the shortest pause, because a connection was accepted.
    fn reset(&mut self) {
        self.next_delay = SHORTEST_PAUSE;
    }

    /// Ready when there is no pause, its time has elapsed, or a connection has closed.
    fn poll_over<T>(&mut self, table: &Table<T>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(timer) = &mut self.timer {
            table.register(cx);
            if !table.take_one_closed() {
                ready!(timer.as_mut().poll(cx));
            }
            self.timer = None;
        }
        Poll::Ready(())
    }
}

impl<L: Listener + fmt::Debug, H, F, T> fmt::Debug for Serve<L, H, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("listener", &self.listener)
            .field("open", &self.table.len())
            .finish_non_exhaustive()
    }
}
