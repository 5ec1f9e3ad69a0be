//! One server per thread: nearly always a single one, on the main thread; more with `--threads`.
//!
//! Called by [`crate::program`]. The threads share nothing: each has a runtime, listening sockets
//! of its own (the kernel spreads the clients over them, `SO_REUSEPORT`) and its own table of
//! connections. What the main thread wants from another it asks by `Handle::spawn`: a closure goes
//! over, runs there as a task, and its result comes back.

use std::cell::OnceCell;
use std::future::{Future, pending};
use std::io;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tracing::error;
use wakeful::runtime::{Handle, RemoteJoinHandle};

use crate::args::Args;
use crate::drain::drain;
use crate::listen::Socket;
use crate::report::{self, Figures};
use crate::runtime;
use crate::server::{Options, Server};

thread_local! {
    /// The server of this thread, for the closures that come from the main thread.
    static SERVER: OnceCell<Rc<Server>> = const { OnceCell::new() };
}

/// All servers of the process.
#[derive(Debug)]
pub(crate) struct Team {
    own: Rc<Server>,
    others: Vec<Handle>,
}

impl Team {
    /// Starts a server here and one on a new thread for each further set of sockets.
    ///
    /// # Errors
    ///
    /// When a thread or its runtime cannot be made.
    pub(crate) fn start(
        options: Options,
        per_thread: Vec<Vec<Socket>>,
        args: &Args,
    ) -> io::Result<Team> {
        let mut sets = per_thread.into_iter();
        let own = Server::start(options, sets.next().unwrap_or_default())?;
        let mut others = Vec::new();
        for (sockets, number) in sets.zip(2..) {
            let args = args.clone();
            let (started, starting) = mpsc::channel();
            thread::Builder::new()
                .name(format!("echo-{number}"))
                .spawn(move || {
                    serve(options, sockets, &args, &started);
                })?;
            // The thread's first act; the only wait of this thread that is not the runtime's.
            let died = |_| io::Error::other("a thread ended before it served anybody");
            others.push(starting.recv().map_err(died)??);
        }
        Ok(Team { own, others })
    }

    /// Ends all servers within the grace; returns how many connections were cut off.
    pub(crate) async fn drain(&self, grace: Duration) -> usize {
        let asked = self.ask(move |server| async move { drain(&server, grace).await });
        let mut cut_off = drain(&self.own, grace).await;
        for answer in asked {
            match answer.await {
                Ok(count) => cut_off += count,
                Err(error) => error!(%error, "a thread could not end its connections"),
            }
        }
        cut_off
    }

    /// The figures of all threads together.
    pub(crate) async fn figures(&self) -> Figures {
        let asked = self.ask(|server| async move { Figures::of(&server) });
        let mut figures = Figures::of(&self.own);
        for answer in asked {
            match answer.await {
                Ok(more) => figures.add(&more),
                Err(error) => error!(%error, "a thread did not tell its figures"),
            }
        }
        figures
    }

    /// Has every thread write its counters and tasks to the log.
    pub(crate) fn report(&self) {
        report::write(&self.own);
        for answer in self.ask(|server| async move { report::write(&server) }) {
            // It goes on without being awaited: the report is its effect, not its result.
            drop(answer);
        }
    }

    /// Sends a question to every other thread.
    fn ask<Q, A, T>(&self, question: Q) -> Vec<RemoteJoinHandle<T>>
    where
        Q: Fn(Rc<Server>) -> A + Clone + Send + 'static,
        A: Future<Output = T> + 'static,
        T: Send + 'static,
    {
        let ask = |handle: &Handle| {
            let question = question.clone();
            handle.spawn(move || async move {
                match SERVER.with(|server| server.get().cloned()) {
                    Some(server) => question(server).await,
                    // The thread says that it has started only when it has a server.
                    None => pending().await,
                }
            })
        };
        self.others.iter().map(ask).collect()
    }
}

/// The life of a further thread.
fn serve(
    options: Options,
    sockets: Vec<Socket>,
    args: &Args,
    started: &mpsc::Sender<io::Result<Handle>>,
) {
    let tell = |outcome: io::Result<Handle>| {
        if started.send(outcome).is_err() {
            error!("the main thread ended before a further one had started");
        }
    };
    let runtime = match runtime::build(args) {
        Ok(runtime) => runtime,
        Err(error) => return tell(Err(error)),
    };
    runtime.block_on(async {
        match Server::start(options, sockets) {
            Ok(server) => {
                SERVER.with(|own| own.set(Rc::clone(&server)).ok()); // a new thread's is empty
                tell(Ok(runtime.handle().clone()));
                server.drained.next().await;
            }
            Err(error) => tell(Err(error)),
        }
    });
}
