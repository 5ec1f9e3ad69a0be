//! The programs of `docs/STUCK.md`. Each stops in a different way; `fixed` after its name runs it without the
//! mistake. `tests/tests/stuck.rs` compares the page with this file and with its output.

#![allow(clippy::unwrap_used, reason = "a program to show reports, not errors")]

use std::cell::{Cell, RefCell};
use std::env;
use std::future::{Future, poll_fn};
use std::net;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use async_lock::Mutex;
use wakeful::Shutdown;
use wakeful::dump::on_signal;
use wakeful::runtime::{Builder, Runtime};
use wakeful::signal::unix::SignalKind;
use wakeful::task::{self, JoinHandle, spawn_blocking, yield_now};
use wakeful::time::{sleep, timeout};
use wakeful::trace::Recording;
use wakeful_net::{TcpListener, TcpStream};
use wakeful_tests::trace::settle;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["locks"] => counting().block_on(locks(transfer)),
        ["locks", "fixed"] => counting().block_on(locks(transfer_in_order)),
        ["locks", "limited"] => counting().block_on(with_dumps(locks(transfer_within_limit))),
        ["waker"] => counting().block_on(flag(Flag::poll_without_waker)),
        ["waker", "fixed"] => counting().block_on(flag(Flag::poll)),
        ["loop"] => reporting_slow_polls().block_on(import()),
        ["loop", "fixed"] => reporting_slow_polls().block_on(import_on_a_thread()),
        ["loop", "watched"] => watched(Duration::from_millis(100)).block_on(import()),
        ["endless-loop"] => watched(Duration::from_secs(60)).block_on(endless_loop()),
        ["endless-loop", file] => recording(file).block_on(endless_loop()),
        ["timer"] => counting().block_on(with_dumps(retry(Duration::from_secs(PAUSE_MS)))),
        ["timer", "fixed"] => counting().block_on(retry(Duration::from_millis(PAUSE_MS))),
        ["socket"] => counting().block_on(with_dumps(ask(Duration::MAX))),
        ["socket", "fixed"] => counting().block_on(ask(Duration::from_millis(20))),
        ["cycle"] => counting().block_on(cycle()),
        ["cycle", "fixed"] => counting().block_on(joined_by_the_parent()),
        ["server"] => counting().block_on(server(100)),
        ["server", file] => recording(file).block_on(server(3)),
        _ => panic!("{arguments:?}: allowed are the names in docs/STUCK.md"),
    }
    println!("ended");
}

fn counting() -> Runtime {
    Builder::new().count_wakers(true).build().unwrap()
}

fn recording(file: &str) -> Runtime {
    let builder = Builder::new().count_wakers(true);
    let recording = Recording::new().events(1 << 14).file(file);
    builder.record(recording).build().unwrap()
}

fn reporting_slow_polls() -> Runtime {
    let builder = Builder::new().on_slow_poll(Duration::from_millis(200), |slow| {
        let name = slow.name.as_deref().unwrap_or("without a name");
        let spawned = slow.spawned_at.map(ToString::to_string);
        let spawned = spawned.unwrap_or_default();
        eprintln!(
            "slow poll of task {name} (spawned at {spawned}): {:?}",
            slow.took
        );
    });
    builder.build().unwrap()
}

fn watched(limit: Duration) -> Runtime {
    Builder::new().watch(limit).build().unwrap()
}

#[track_caller]
fn spawn_named<T: 'static>(name: &str, future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
    let builder = task::Builder::new().name(name);
    builder.spawn(future).unwrap()
}

// --- two locks in opposite orders -------------------------------------------------------------------

struct Account {
    number: u32,
    balance: Mutex<i64>,
}

fn account(number: u32) -> Rc<Account> {
    let balance = Mutex::new(100);
    Rc::new(Account { number, balance })
}

async fn transfer(from: Rc<Account>, to: Rc<Account>, amount: i64) {
    let mut from = from.balance.lock().await;
    yield_now().await; // such as a query
    let mut to = to.balance.lock().await;
    *from -= amount;
    *to += amount;
}

async fn transfer_in_order(from: Rc<Account>, to: Rc<Account>, amount: i64) {
    let (low, high, amount) = match from.number < to.number {
        true => (from, to, amount),
        false => (to, from, -amount),
    };
    let mut low = low.balance.lock().await;
    yield_now().await;
    let mut high = high.balance.lock().await;
    *low -= amount;
    *high += amount;
}

async fn transfer_within_limit(from: Rc<Account>, to: Rc<Account>, amount: i64) {
    let mut from = from.balance.lock().await;
    yield_now().await;
    let to = timeout(LIMIT, to.balance.lock()).await;
    let mut to = to.expect("a lock within the limit");
    *from -= amount;
    *to += amount;
}

async fn locks<F: Future<Output = ()> + 'static>(
    transfer: impl Fn(Rc<Account>, Rc<Account>, i64) -> F,
) {
    let (a, b) = (account(1), account(2));
    let there = spawn_named("there", transfer(Rc::clone(&a), Rc::clone(&b), 5));
    let back = spawn_named("back", transfer(b, a, 3));
    there.await.unwrap();
    back.await.unwrap();
}

// --- a dropped waker --------------------------------------------------------------------------------

#[derive(Default)]
struct Flag {
    is_set: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Flag {
    fn poll_without_waker(&self, _cx: &mut Context<'_>) -> Poll<()> {
        match self.is_set.get() {
            true => Poll::Ready(()),
            false => Poll::Pending, // without a copy of the waker
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_set.get() {
            return Poll::Ready(());
        }
        self.waker.set(Some(cx.waker().clone()));
        Poll::Pending
    }

    fn set(&self) {
        self.is_set.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

async fn flag(poll: impl Fn(&Flag, &mut Context<'_>) -> Poll<()> + 'static) {
    let flag = Rc::new(Flag::default());
    let waits = spawn_named("waits", {
        let flag = Rc::clone(&flag);
        poll_fn(move |cx| poll(&flag, cx))
    });
    settle().await;
    flag.set();
    waits.await.unwrap();
}

// --- a blocked loop ---------------------------------------------------------------------------------

/// Blocks the thread, as a file system or a library for C programs does.
fn read_large_file() {
    thread::sleep(Duration::from_millis(300));
}

async fn import() {
    let import = spawn_named("import", async {
        read_large_file();
        yield_now().await;
    });
    import.await.unwrap();
}

async fn import_on_a_thread() {
    let import = spawn_named("import", async {
        spawn_blocking(read_large_file).await.unwrap();
    });
    import.await.unwrap();
}

async fn endless_loop() {
    spawn_named("dumps", on_signal(SignalKind::user_defined1()).unwrap());
    let import = spawn_named("import", async {
        sleep(Duration::from_millis(5)).await;
        println!("ready");
        loop {
            read_large_file();
        }
    });
    import.await.unwrap()
}

// --- a far timer, and a socket ----------------------------------------------------------------------

/// Runs a future beside a task that prints a dump at each SIGUSR1.
async fn with_dumps(future: impl Future<Output = ()> + 'static) {
    spawn_named("dumps", on_signal(SignalKind::user_defined1()).unwrap());
    let future = spawn_named("main", future);
    settle().await;
    println!("ready");
    future.await.unwrap();
}

const LIMIT: Duration = Duration::from_secs(60);

/// From a configuration.
const PAUSE_MS: u64 = 250;

async fn retry(pause: Duration) {
    sleep(pause).await;
}

/// Reads from a server that never answers.
async fn ask(limit: Duration) {
    let server = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(server.local_addr().unwrap()).await;
    let stream = stream.unwrap();
    let mut answer = [0; 16];
    if limit == Duration::MAX {
        stream.read_exact(&mut answer).await.unwrap();
    } else {
        let read = timeout(limit, stream.read_exact(&mut answer)).await;
        assert!(read.is_err(), "no answer within {limit:?}");
    }
}

// --- a cycle of joins -------------------------------------------------------------------------------

type Slot = Rc<RefCell<Option<JoinHandle<()>>>>;

/// Returns when the other half of the connection has ended.
async fn until_other_half_ends(other: Slot) {
    let other = other.take().unwrap();
    other.await.unwrap();
}

async fn cycle() {
    let writer = Slot::default();
    let reader = spawn_named("reader", until_other_half_ends(Rc::clone(&writer)));
    *writer.borrow_mut() = Some(spawn_named("writer", async move {
        reader.await.unwrap();
    }));
    Shutdown::new().cancelled().await; // the end of the program
}

async fn joined_by_the_parent() {
    let reader = spawn_named("reader", yield_now());
    let writer = spawn_named("writer", yield_now());
    reader.await.unwrap();
    writer.await.unwrap();
}

// --- the server of the README -----------------------------------------------------------------------

/// Serves clients while the task "import" blocks the loop now and then, and "cache" has lost its waker.
async fn server(clients: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn_named("accept", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            spawn_named("echo", echo(stream));
        }
    });
    spawn_named("cache", poll_fn(|_| Poll::<()>::Pending));
    spawn_named("import", async {
        for _ in 0..3 {
            sleep(Duration::from_millis(5)).await;
            thread::sleep(Duration::from_millis(8)); // blocks the loop
        }
        sleep(Duration::from_secs(60)).await;
    });
    let start = |_| spawn_named("client", client(address));
    let clients: Vec<_> = (0..clients).map(start).collect();
    let mut streams = Vec::new();
    for client in clients {
        streams.push(client.await.unwrap());
    }
    settle().await;
    eprintln!("{}", wakeful::dump());
}

async fn echo(stream: TcpStream) {
    let mut message = [0; 64];
    while stream.read_exact(&mut message).await.is_ok() {
        stream.write_all(&message).await.unwrap();
    }
}

/// Sends messages, and returns the open connection.
async fn client(address: net::SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut message = [7; 64];
    for _ in 0..14 {
        stream.write_all(&message).await.unwrap();
        stream.read_exact(&mut message).await.unwrap();
        sleep(Duration::from_millis(2)).await;
    }
    stream
}
