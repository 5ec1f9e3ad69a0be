//! Connecting one socket to one address, for TCP and Unix.
//!
//! Driven by the futures in `tcp::connect` and `unix::connect`, which choose the addresses.
//!
//! ```text
//!  New --socket(2)--+
//!                   v
//!  +---------> Connect --connect(2)--+--done at once--> connected
//!  |                                 +--EINPROGRESS---> InProgress
//!  |                                 +--EAGAIN: the backlog of a Unix listener is full--+
//!  +--timer-- Paused <------------------------------------------------------------------+
//!
//!  InProgress --writable--+--SO_ERROR set---> that error
//!        ^                +--has a peer-----> connected
//!        +----------------+--neither: wait again
//! ```
//!
//! The socket is registered *after* connect(2). Otherwise the hang-up that an unconnected socket
//! reports would be taken for the outcome.
//!
//! Sources: connect(2), unix(7).

use std::io;
use std::mem;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockAddr;
use wakeful::io::Ready;
use wakeful::time::{Sleep, sleep};

use crate::budget::poll_proceed;
use crate::call_site::CallSite;
use crate::error::explain_family;
use crate::socket::{Family, Io, new_socket, register};
use crate::sys::{self, Descriptor};

/// The first pause before connecting again to a Unix listener whose backlog is full.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// The longest such pause. Pauses double until then, because no event reports room in the backlog.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// One attempt to connect.
#[derive(Debug)]
pub(crate) struct ConnectAttempt {
    address: SockAddr,
    family: Family,
    /// Whether user code could duplicate the descriptor.
    shared: bool,
    /// The user's call, for the task info.
    call_site: CallSite,
    /// Length of the next pause.
    pause: Duration,
    state: State,
}

/// State of an attempt; see the diagram above.
#[derive(Debug)]
enum State {
    New,
    Connect(Descriptor),
    Paused(Descriptor, Pin<Box<Sleep>>),
    InProgress(Io),
    /// Completed, or moving from one state to the next.
    Done,
}

impl ConnectAttempt {
    /// Creates an attempt. The first poll creates the socket.
    pub(crate) fn new(address: SockAddr, family: Family, call_site: CallSite) -> Self {
        Self {
            address,
            family,
            shared: false,
            call_site,
            pause: FIRST_PAUSE,
            state: State::New,
        }
    }

    /// Creates an attempt with a socket that user code could duplicate.
    pub(crate) fn with_socket(
        socket: Descriptor,
        address: SockAddr,
        family: Family,
        call_site: CallSite,
    ) -> Self {
        Self {
            shared: true,
            state: State::Connect(socket),
            ..Self::new(address, family, call_site)
        }
    }

    /// Advances as far as possible without waiting. Dropping the attempt closes the socket.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Io>> {
        loop {
            match mem::replace(&mut self.state, State::Done) {
                // One operation of the budget for each connect(2), which often completes at once.
                state @ (State::New | State::Connect(_)) => {
                    if poll_proceed(cx).is_pending() {
                        self.state = state;
                        return Poll::Pending;
                    }
                    let socket = match state {
                        State::Connect(socket) => socket,
                        _ => new_socket(self.address.domain(), self.family)?,
                    };
                    if let Some(outcome) = self.connect(socket).transpose() {
                        return Poll::Ready(outcome);
                    }
                }
                State::Paused(socket, mut timer) => {
                    if timer.as_mut().poll(cx).is_pending() {
                        self.state = State::Paused(socket, timer);
                        return Poll::Pending;
                    }
                    self.state = State::Connect(socket);
                }
                State::InProgress(io) => match self.poll_outcome(&io, cx) {
                    Poll::Pending => {
                        self.state = State::InProgress(io);
                        return Poll::Pending;
                    }
                    Poll::Ready(outcome) => return Poll::Ready(outcome.map(|()| io)),
                },
                State::Done => unreachable!("an attempt to connect is not polled after its end"),
            }
        }
    }

    /// Calls connect(2) once. Returns the connection if it is complete; otherwise sets the state.
    fn connect(&mut self, socket: Descriptor) -> io::Result<Option<Io>> {
        let result = sys::connect(socket.as_fd(), &self.address);
        let errno = result
            .as_ref()
            .err()
            .map(|err| err.raw_os_error().unwrap_or(0));
        match errno {
            // A call that is repeated after a signal returns EISCONN or EALREADY: the first call
            // succeeded, or is still in progress.
            None | Some(libc::EISCONN) => {
                let io = self.register(socket)?;
                io.assume_ready(Ready::WRITABLE);
                return Ok(Some(io));
            }
            Some(libc::EINPROGRESS | libc::EALREADY) => {
                self.state = State::InProgress(self.register(socket)?);
            }
            Some(libc::EAGAIN) if self.family == Family::Unix => {
                let (name, location) = self.call_site;
                let timer = sleep(self.pause).operation(name).location(location);
                self.state = State::Paused(socket, Box::pin(timer));
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
            Some(_) => result
                .map_err(|err| explain_family("connect", socket.as_fd(), &self.address, err))?,
        }
        Ok(None)
    }

    fn register(&self, socket: Descriptor) -> io::Result<Io> {
        let io = register(socket, self.family)?;
        if self.shared {
            io.mark_duplicated();
        }
        Ok(io)
    }

    /// Waits until a socket is writable, and returns whether it is connected or has failed.
    fn poll_outcome(&self, io: &Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (name, location) = self.call_site;
        loop {
            let writable = io.writable().operation(name).location(location);
            let mut guard = ready!(Pin::new(&mut writable.by_waker()).poll(cx))?;
            let fd = io.get_ref().as_fd();
            if let Some(err) = sys::take_error(fd)? {
                return Poll::Ready(Err(err));
            }
            match sys::peer_addr(fd) {
                Ok(_peer) => {
                    guard.retain_ready();
                    return Poll::Ready(Ok(()));
                }
                // Writable without an outcome: the outcome is still to come, with an event.
                Err(err)
                    if err.raw_os_error() == Some(libc::ENOTCONN) && !has_ended(guard.ready()) =>
                {
                    guard.clear_ready();
                }
                Err(err) => return Poll::Ready(Err(err)),
            }
        }
    }
}

/// Returns whether the kernel has ended the attempt, so that no further event would come.
fn has_ended(ready: Ready) -> bool {
    ready.is_write_closed() || ready.is_error()
}
