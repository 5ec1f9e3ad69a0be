//! One server per thread: usually a single one, on the main thread; more with `--threads`.
//!
//! Called by [`crate::program`]. The threads share nothing but the [`Shutdown`]: each has a
//! runtime, listening sockets of its own (the kernel spreads the clients over them,
//! `SO_REUSEPORT`) and its own state. The main thread asks another one for its figures by
//! `Handle::spawn`: a closure is sent, runs there as a task, and its result comes back.

use std::cell::{Cell, OnceCell};
use std::future::{Future, pending};
use std::io;
use std::sync::mpsc;
use std::thread;

use tracing::error;
use wakeful::Shutdown;
use wakeful::runtime::{Handle, RemoteJoinHandle};

use crate::args::{Args, Detail};
use crate::listen::Socket;
use crate::server::{Served, Server};
use crate::setup;
use crate::shutdown::run_until_shutdown;
use crate::state::Options;
use crate::stats::{self, Stats};
use crate::trace;

thread_local! {
    /// What this thread serves, for the closures that the main thread sends.
    static SERVED: OnceCell<Served> = const { OnceCell::new() };
}

/// All servers of the process.
pub(crate) struct Workers {
    /// The main thread's server, until the shutdown.
    own: Cell<Option<Server>>,
    /// What the main thread serves.
    served: Served,
    /// Runtimes of the other threads.
    others: Vec<Handle>,
    /// The other threads, until the shutdown; each returns how many connections were aborted.
    threads: Cell<Vec<thread::JoinHandle<usize>>>,
    shutdown: Shutdown,
}

impl Workers {
    /// Starts a server here and one on a new thread for each further set of sockets.
    ///
    /// # Errors
    ///
    /// Returns an error if a thread, its runtime or its server cannot be created.
    pub(crate) fn start(
        options: &Options,
        per_thread: Vec<Vec<Socket>>,
        args: &Args,
    ) -> io::Result<Workers> {
        let mut sets = per_thread.into_iter();
        let own = Server::start(options, sets.next().unwrap_or_default())?;
        let (mut others, mut threads) = (Vec::new(), Vec::new());
        for (sockets, number) in sets.zip(2..) {
            let (options, args) = (options.clone(), args.clone());
            let (started, starting) = mpsc::channel();
            let thread = thread::Builder::new()
                .name(format!("echo-{number}"))
                .spawn(move || run_worker(&options, sockets, (&args, number), &started))?;
            // The thread's first action. Nothing else blocks the main thread.
            let ended = |_| io::Error::other("a thread ended before it served clients");
            others.push(starting.recv().map_err(ended)??);
            threads.push(thread);
        }
        Ok(Workers {
            served: own.served.clone(),
            own: Cell::new(Some(own)),
            others,
            threads: Cell::new(threads),
            shutdown: options.shutdown.clone(),
        })
    }

    /// Shuts all servers down within the grace period. Returns how many connections were aborted.
    pub(crate) async fn drain(&self) -> usize {
        self.shutdown.cancel();
        let mut aborted = 0;
        if let Some(own) = self.own.take() {
            aborted += run_until_shutdown(own).await;
        }
        // Each thread holds a token until its server has ended, so joining it does not block.
        self.shutdown.wait().await;
        for thread in self.threads.take() {
            match thread.join() {
                Ok(count) => aborted += count,
                Err(_panic) => error!("a thread panicked: its connections were closed"),
            }
        }
        aborted
    }

    /// Returns the figures of all threads together.
    pub(crate) async fn stats(&self) -> Stats {
        let asked = self.on_each_worker(|served| async move { Stats::of(&served) });
        let mut stats = Stats::of(&self.served);
        for answer in asked {
            match answer.await {
                Ok(more) => stats.add(&more),
                Err(error) => error!(%error, "getting the figures of a thread failed"),
            }
        }
        stats
    }

    /// Makes every thread log its counters and tasks.
    pub(crate) fn report(&self, detail: Detail) {
        stats::report(&self.served, detail);
        let report = move |served| async move { stats::report(&served, detail) };
        for answer in self.on_each_worker(report) {
            drop(answer); // the task goes on: its effect is wanted, not its result
        }
    }

    /// Makes every thread write its recording.
    pub(crate) fn write_traces(&self, args: &Args) {
        trace::write(args, 1);
        for (other, thread) in self.others.iter().zip(2..) {
            let args = args.clone();
            let write = move || async move { trace::write(&args, thread) };
            drop(other.spawn(write)); // the task goes on: its effect is wanted, not its result
        }
    }

    /// Runs a future on every other thread.
    fn on_each_worker<Q, A, T>(&self, question: Q) -> Vec<RemoteJoinHandle<T>>
    where
        Q: Fn(Served) -> A + Clone + Send + 'static,
        A: Future<Output = T> + 'static,
        T: Send + 'static,
    {
        let ask = |handle: &Handle| {
            let question = question.clone();
            handle.spawn(move || async move {
                match SERVED.with(|served| served.get().cloned()) {
                    Some(served) => question(served).await,
                    // A thread sends its handle only after it has stored this.
                    None => pending().await,
                }
            })
        };
        self.others.iter().map(ask).collect()
    }
}

/// Runs a server on a further thread until the shutdown. Returns how many connections were
/// aborted.
fn run_worker(
    options: &Options,
    sockets: Vec<Socket>,
    (args, number): (&Args, u32),
    started: &mpsc::Sender<io::Result<Handle>>,
) -> usize {
    let _token = options.shutdown.token();
    let report = |outcome: io::Result<Handle>| {
        if started.send(outcome).is_err() {
            error!("starting a thread failed: the main thread has ended");
        }
    };
    let runtime = match setup::build_runtime(args, number) {
        Ok(runtime) => runtime,
        Err(error) => {
            report(Err(error));
            return 0;
        }
    };
    runtime.block_on(async {
        match Server::start(options, sockets) {
            Ok(server) => {
                SERVED.with(|own| own.set(server.served.clone()).ok()); // a new thread's is empty
                report(Ok(runtime.handle().clone()));
                let aborted = run_until_shutdown(server).await;
                trace::finish(args, number);
                aborted
            }
            Err(error) => {
                report(Err(error));
                0
            }
        }
    })
}
