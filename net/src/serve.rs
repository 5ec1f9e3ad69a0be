//! A server's accept loop: what everybody would have to write by hand, once and tested.
//!
//! [`serve`] makes a [`Serve`], a future that accepts and spawns; the builder methods set what is to
//! be different. Called by users; calls `listen` for a connection and `classify_accept_error` for what its
//! errors mean.
//!
//! ```text
//!               +--- shutdown, or an error that lasts ---------+
//!               |                                              v
//!   Accepting --+                                          Draining ---all have finished---> end
//!     |  ^      |                                              |
//!     v  |      +--max_connections: until one leaves           +---grace is over---> Cutting
//!    spawn      +--no descriptors: until one leaves,             abort, until all are dropped
//!    a task        or for 10, 20, 40, 80, 100 ms
//! ```
//!
//! The pause matters: a listener stays ready while clients wait, so that trying again at once would
//! spin. And so does its end: no event tells that a descriptor came free elsewhere in the process.
//!
//! Each task holds a [`Seat`]; when that is dropped, however the task ends, the place is free again.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, Pending, pending};
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pin_project_lite::pin_project;
use wakeful::task::{self, AbortHandle};
use wakeful::time::{Sleep, sleep};

use crate::call_site::CallSite;
use crate::listen::{AcceptErrorKind, classify_accept_error};
use crate::tcp::{TcpListener, TcpStream};
use crate::unix::{self, UnixListener, UnixStream};

/// What the record of the server's task shows.
const NAME: &str = "serve";

/// How long connections may take to finish unless told.
const GRACE: Duration = Duration::from_secs(5);

/// The first pause after an error of the machine's, and the longest; they double in between.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// What connections can be accepted from: [`TcpListener`] and [`UnixListener`]. Outside code can
/// neither call nor implement its method.
pub trait Listener {
    /// A connection.
    type Stream: 'static;
    /// Who is at its other end.
    type Address: 'static;
    /// Polls for the next connection, on behalf of an operation begun elsewhere.
    #[doc(hidden)]
    fn poll_next(&self, call_site: CallSite, cx: &mut Context<'_>) -> Poll<Next<Self>>;
}

/// What [`Listener::poll_next`] gives.
type Next<L> = io::Result<(<L as Listener>::Stream, <L as Listener>::Address)>;

impl Listener for TcpListener {
    type Stream = TcpStream;
    type Address = SocketAddr;

    fn poll_next(&self, call_site: CallSite, cx: &mut Context<'_>) -> Poll<Next<Self>> {
        self.poll_accept_for(call_site, cx)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;
    type Address = unix::SocketAddr;

    fn poll_next(&self, call_site: CallSite, cx: &mut Context<'_>) -> Poll<Next<Self>> {
        self.poll_accept_for(call_site, cx)
    }
}

/// Accepts connections and runs `handler` on each, in a task of its own.
///
/// In the records of the runtime these tasks are spawned where this function was called.
///
/// The future that it returns serves for as long as it is polled. Without a
/// [`shutdown`](Serve::with_graceful_shutdown) that is for ever. The methods of [`Serve`] set limits.
///
/// The handler gets the stream and the address of its peer and returns nothing: what is to happen
/// with its errors only it can know. A handler that panics ends its connection, and the runtime
/// reports it.
///
/// Errors of accepting are treated as [`classify_accept_error`] says: a client that was lost before it was
/// accepted is passed over; when descriptors or memory have run out, accepting pauses until one of
/// the connections has left, or for up to 100 ms, and the open connections are served meanwhile;
/// one that means that the listener is unusable ends the server.
///
/// # Errors
///
/// The error of a listener that is unusable, after the connections that were open have ended or the
/// [`grace`](Serve::shutdown_timeout) is over. Else it returns how many connections were cut off.
///
/// # Panics
///
/// When polled on a thread that does not run the listener's runtime.
///
/// # Cancel safety
///
/// Dropping the future closes the listener, and that is all: the tasks of its connections go on.
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
///     assert_eq!(server.await.unwrap()?, 0, "nobody was cut off");
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
        on_error: None,
        most: usize::MAX,
        grace: GRACE,
        open: Rc::default(),
        phase: Phase::Accepting,
        pause: None,
        next_pause: SHORTEST_PAUSE,
        caller: Location::caller(),
    }
}

pin_project! {
    /// The future of [`serve`], and how to change what it does.
    #[must_use = "futures do nothing unless polled or awaited"]
    pub struct Serve<L, H, F = Pending<()>> {
        // Until the end begins.
        listener: Option<L>,
        handler: Rc<H>,
        #[pin]
        shutdown: F,
        on_error: Option<Box<dyn FnMut(&io::Error)>>,
        most: usize,
        grace: Duration,
        open: Rc<Open>,
        phase: Phase,
        // Runs after an error of the machine's.
        pause: Option<Pin<Box<Sleep>>>,
        next_pause: Duration,
        caller: &'static Location<'static>,
    }
}

/// See the picture above.
enum Phase {
    Accepting,
    /// No new connections; the timer is the grace. With the error that ended accepting, if one did.
    Draining(Pin<Box<Sleep>>, Option<io::Error>),
    /// That many were aborted and are about to be dropped.
    Cutting(usize, Option<io::Error>),
}

impl<L, H, F> Serve<L, H, F> {
    /// Accepts no more while `most` connections are open; further clients wait in the listener's
    /// queue. Without this the limit is that of descriptors.
    ///
    /// # Panics
    ///
    /// When `most` is 0.
    pub fn max_connections(mut self, most: usize) -> Self {
        assert!(
            most > 0,
            "`max_connections(0)` would accept nobody: use 1 or more"
        );
        self.most = most;
        self
    }

    /// Sets how long connections may take to finish once the end has begun; those that have not
    /// by then are cut off: their tasks are aborted. 5 seconds unless told; [`Duration::MAX`] waits
    /// for ever.
    pub fn shutdown_timeout(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Ends the server gracefully when `shutdown` is ready, whatever it gives: the listener is
    /// closed, which turns away those who still wait in its queue, and the connections have the
    /// [`grace`](Self::shutdown_timeout) to finish.
    ///
    /// Any future will do: `wakeful::signal::ctrl_c()`, or [`Shutdown::cancelled`], which the handlers
    /// can look at, too, to stop between two requests.
    ///
    /// [`Shutdown::cancelled`]: wakeful::Shutdown::cancelled
    pub fn with_graceful_shutdown<G: Future>(self, shutdown: G) -> Serve<L, H, G> {
        Serve {
            shutdown,
            listener: self.listener,
            handler: self.handler,
            on_error: self.on_error,
            most: self.most,
            grace: self.grace,
            open: self.open,
            phase: self.phase,
            pause: self.pause,
            next_pause: self.next_pause,
            caller: self.caller,
        }
    }

    /// Tells of an error that makes accepting pause: once, until a connection has been accepted
    /// again.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// wakeful_net::serve(listener, async |_stream, _peer| {})
    ///     .on_accept_error(|err| eprintln!("clients have to wait: {err}"))
    ///     .await
    /// # }).unwrap();
    /// ```
    pub fn on_accept_error(mut self, tell: impl FnMut(&io::Error) + 'static) -> Self {
        self.on_error = Some(Box::new(tell));
        self
    }
}

impl<L, H, F> Future for Serve<L, H, F>
where
    L: Listener,
    H: AsyncFn(L::Stream, L::Address) + 'static,
    F: Future,
{
    type Output = io::Result<usize>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let this = self.as_mut().project();
            match this.phase {
                Phase::Accepting => {
                    // Before accepting, which in a crowd never has to wait.
                    let ended = match this.shutdown.poll(cx) {
                        Poll::Ready(_whatever) => None,
                        Poll::Pending => match self.as_mut().accept(cx) {
                            Poll::Ready(err) => Some(err),
                            Poll::Pending => return Poll::Pending,
                        },
                    };
                    let this = self.as_mut().project();
                    *this.listener = None;
                    let grace = sleep(*this.grace).operation(NAME).location(this.caller);
                    *this.phase = Phase::Draining(Box::pin(grace), ended);
                }
                Phase::Draining(grace, err) => {
                    if this.open.count() == 0 {
                        return Poll::Ready(end_with(err.take(), 0));
                    }
                    this.open.listen(cx);
                    if grace.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    *this.phase = Phase::Cutting(this.open.abort_all(), err.take());
                }
                Phase::Cutting(count, err) => {
                    if this.open.count() == 0 {
                        return Poll::Ready(end_with(err.take(), *count));
                    }
                    this.open.listen(cx);
                    return Poll::Pending;
                }
            }
        }
    }
}

fn end_with(err: Option<io::Error>, cut_off: usize) -> io::Result<usize> {
    match err {
        Some(err) => Err(err),
        None => Ok(cut_off),
    }
}

impl<L, H, F> Serve<L, H, F>
where
    L: Listener,
    H: AsyncFn(L::Stream, L::Address) + 'static,
{
    /// Accepts what there is, as far as there is room; ready with an error that lasts.
    ///
    /// The loop is bounded: each round charges the task's I/O budget.
    fn accept(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Error> {
        let this = self.project();
        let Some(listener) = this.listener else {
            return Poll::Pending;
        };
        loop {
            if this.open.count() >= *this.most {
                this.open.listen(cx);
                return Poll::Pending;
            }
            if let Some(pause) = this.pause {
                // Either end of the wait is a reason to try again.
                if !this.open.one_left.take() && pause.as_mut().poll(cx).is_pending() {
                    this.open.listen(cx);
                    return Poll::Pending;
                }
                *this.pause = None;
            }
            match listener.poll_next((NAME, this.caller), cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok((stream, peer))) => {
                    *this.next_pause = SHORTEST_PAUSE;
                    this.open.spawn(this.handler, stream, peer, this.caller);
                }
                Poll::Ready(Err(err)) => match classify_accept_error(&err) {
                    AcceptErrorKind::Skip => {}
                    AcceptErrorKind::Fatal => return Poll::Ready(err),
                    AcceptErrorKind::Backoff => {
                        if *this.next_pause == SHORTEST_PAUSE
                            && let Some(tell) = this.on_error
                        {
                            tell(&err);
                        }
                        this.open.one_left.set(false);
                        let pause = sleep(*this.next_pause)
                            .operation(NAME)
                            .location(this.caller);
                        *this.pause = Some(Box::pin(pause));
                        *this.next_pause = (*this.next_pause * 2).min(LONGEST_PAUSE);
                    }
                },
            }
        }
    }
}

impl<L: fmt::Debug, H, F> fmt::Debug for Serve<L, H, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("listener", &self.listener)
            .field("open", &self.open.count())
            .finish_non_exhaustive()
    }
}

/// The open connections of one server, shared by its future and the tasks.
#[derive(Default)]
struct Open {
    /// How to end each; `None` where one has left. Those places are in `vacant`.
    tasks: RefCell<Vec<Option<AbortHandle>>>,
    vacant: RefCell<Vec<usize>>,
    /// Set when a connection leaves, cleared by whoever waits for that.
    one_left: Cell<bool>,
    /// The server's, while it waits for one to leave.
    waker: Cell<Option<Waker>>,
}

impl Open {
    fn count(&self) -> usize {
        self.tasks.borrow().len() - self.vacant.borrow().len()
    }

    /// Has the server polled when a connection leaves.
    fn listen(&self, cx: &Context<'_>) {
        // Cloning and dropping a waker may run anything, so nothing is borrowed meanwhile.
        let waker = match self.waker.take() {
            Some(known) if known.will_wake(cx.waker()) => known,
            _ => cx.waker().clone(),
        };
        drop(self.waker.replace(Some(waker)));
    }

    fn spawn<H, S, A>(
        self: &Rc<Self>,
        handler: &Rc<H>,
        stream: S,
        peer: A,
        caller: &'static Location<'static>,
    ) where
        H: AsyncFn(S, A) + 'static,
        S: 'static,
        A: 'static,
    {
        let vacant = self.vacant.borrow_mut().pop();
        let place = vacant.unwrap_or_else(|| {
            let mut tasks = self.tasks.borrow_mut();
            tasks.push(None);
            tasks.len() - 1
        });
        let seat = Seat {
            open: Rc::clone(self),
            place,
        };
        let handler = Rc::clone(handler);
        let task = task::Builder::new().spawned_at(caller).spawn(async move {
            // Dropped after the connection, which the handler has taken.
            let _seat = seat;
            handler(stream, peer).await;
        });
        // It gives none: the `Result` is tokio's.
        if let Ok(task) = task {
            self.tasks.borrow_mut()[place] = Some(task.abort_handle());
        }
    }

    /// Aborts all that are still there and says how many.
    fn abort_all(&self) -> usize {
        let tasks = self.tasks.take();
        let count = tasks.iter().flatten().count();
        *self.tasks.borrow_mut() = tasks.iter().map(|_| None).collect();
        // What an aborted task drops may come back here, so nothing is borrowed.
        for task in tasks.into_iter().flatten() {
            task.abort();
        }
        count
    }
}

/// A connection's place in [`Open`], held by its task.
struct Seat {
    open: Rc<Open>,
    place: usize,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.open.tasks.borrow_mut()[self.place] = None;
        self.open.vacant.borrow_mut().push(self.place);
        self.open.one_left.set(true);
        if let Some(waker) = self.open.waker.take() {
            waker.wake();
        }
    }
}
