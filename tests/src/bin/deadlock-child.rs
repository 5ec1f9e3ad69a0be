//! The child process of the tests of deadlocks (`tests/deadlocks.rs`), which has one thread. The argument
//! is the name of what it does.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::future::pending;
use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::{Arc, Barrier, mpsc};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use wakeful::io::AsyncFd;
use wakeful::runtime::{Builder, Handle, OnDeadlock, Runtime, Stall};
use wakeful::signal::unix::{SignalKind, signal};
use wakeful::spawn;
use wakeful::task::{self, JoinHandle, spawn_blocking};
use wakeful::time::sleep;
use wakeful_net::TcpListener;
use wakeful_tests::trace::{my_waker, poll_once, settle};

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    let runtime = Runtime::new().unwrap();
    let size = || std::env::args().nth(2).unwrap().parse().unwrap();
    let paused = || Builder::new().start_paused(true).build().unwrap();
    match &*name {
        // Deadlocks.
        "pending" => runtime.block_on(stuck()),
        "cycle" => runtime.block_on(cycle()),
        "idle-listener" => runtime.block_on(beside_an_idle_listener()),
        "handle-in-a-task" => runtime.block_on(with_a_handle_in_a_task()),
        "idle-pool" => runtime.block_on(beside_an_idle_pool()),
        "canceled-accept" => runtime.block_on(with_a_canceled_accept()),
        "ended-read" => runtime.block_on(after_a_read_under_a_timer()),
        "paused" => paused().block_on(stuck()),
        "waker-in-a-task" => runtime.block_on(with_a_waker_in_a_task()),
        "twice" => twice(&runtime),
        "watched" => watched().block_on(stuck()),
        "after-a-watched-runtime" => after_a_watched_runtime(&runtime),
        "during-a-stall-hook" => during_a_stall_hook(),
        // None.
        "thread" => runtime.block_on(woken_by_a_thread()),
        "threads-that-end" => runtime.block_on(woken_by_threads_that_end()),
        "stall-hook" => woken_by_a_stall_hook(),
        "dropped-stall-hook" => woken_by_the_drop_of_a_stall_hook(&runtime),
        "many-idle-threads" => many_idle_threads(),
        "timer" => runtime.block_on(async { sleep(Duration::from_millis(20)).await }),
        "paused-timer" => paused().block_on(async { sleep(Duration::from_secs(1 << 30)).await }),
        "accept" => runtime.block_on(accept()),
        "closure" => runtime.block_on(closure()),
        "signal" => runtime.block_on(wait_for_a_signal()),
        // Policies.
        "report" => with_policy(OnDeadlock::Report).block_on(stuck()),
        "probable" => probable(),
        "probable-and-woken" => probable_and_woken(),
        // Costs.
        "dump-of-a-chain" => runtime.block_on(dump_of_a_chain(size())),
        "dump-of-timers" => runtime.block_on(dump_of_timers(size())),
        other => panic!("{other:?} is not known"),
    }
    println!("ended");
}

fn with_policy(policy: OnDeadlock) -> Runtime {
    let builder = Builder::new().on_deadlock(policy).count_wakers(true);
    builder
        .deadlock_after(Duration::from_millis(30))
        .build()
        .unwrap()
}

fn watched() -> Runtime {
    let builder = Builder::new().watch(Duration::from_secs(3600));
    builder.build().unwrap()
}

/// The watch thread ends with its runtime.
fn after_a_watched_runtime(runtime: &Runtime) {
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let watched = watched();
    assert_eq!(threads(), 2);
    drop(watched);
    while threads() > 1 {
        thread::yield_now();
    }
    runtime.block_on(stuck());
}

/// The hook returns after the first look for a deadlock.
fn during_a_stall_hook() {
    let (called, calls) = mpsc::channel();
    let hook = move |_: &Stall| {
        called.send(()).unwrap();
        thread::sleep(Duration::from_millis(50));
    };
    let builder = Builder::new()
        .watch(Duration::from_millis(20))
        .on_stall(hook);
    builder.build().unwrap().block_on(async {
        calls.recv().unwrap();
        stuck().await;
    });
}

async fn stuck() {
    let named = task::Builder::new().name("cache");
    named.spawn(pending::<()>()).unwrap().await.unwrap();
}

async fn cycle() {
    let other: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
    let first = spawn({
        let other = Rc::clone(&other);
        async move {
            let other = other.take().unwrap();
            other.await.unwrap();
        }
    });
    *other.borrow_mut() = Some(spawn(async move { first.await.unwrap() }));
    pending::<()>().await;
}

async fn beside_an_idle_listener() {
    let _listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    stuck().await;
}

/// The accept is polled and dropped in the poll before the wait.
async fn with_a_canceled_accept() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut accept = Box::pin(listener.accept());
    assert!(poll_once(&mut accept).await.is_pending());
    drop(accept);
    stuck().await;
}

/// The last turn had a limit, because of a timer, and has taken out the only waiter.
async fn after_a_read_under_a_timer() {
    let (here, mut there) = std::os::unix::net::UnixStream::pair().unwrap();
    here.set_nonblocking(true).unwrap();
    let here = AsyncFd::new(here).unwrap();
    let writes = spawn(async move {
        sleep(Duration::from_millis(5)).await;
        there.write_all(b"x").unwrap();
        there
    });
    let mut timer = Box::pin(sleep(Duration::from_secs(3600)));
    assert!(poll_once(&mut timer).await.is_pending());
    drop(here.readable().await.unwrap());
    let _there = writes.await.unwrap();
    drop(timer);
    stuck().await;
}

/// Each task awaits the next one, and the last one waits for something else.
async fn dump_of_a_chain(tasks: usize) {
    let mut next = spawn(pending::<()>());
    for _ in 1..tasks {
        next = spawn(async move { next.await.unwrap() });
    }
    settle().await;
    let begin = Instant::now();
    let dump = wakeful::dump();
    println!("{} tasks in {:?}", dump.tasks.len(), begin.elapsed());
    assert!(dump.verdicts.len() < 2);
    drop(next);
}

/// One task has all timers.
async fn dump_of_timers(timers: usize) {
    let each = |n| Box::pin(sleep(Duration::from_secs(1000 + n as u64)));
    let mut sleeps: Vec<_> = (0..timers).map(each).collect();
    for sleep in &mut sleeps {
        assert!(poll_once(sleep).await.is_pending());
    }
    assert_eq!(wakeful::dump().timers.len(), timers);
}

async fn with_a_handle_in_a_task() {
    let handle = Handle::current();
    let _keeps = spawn(async move {
        let _handle = handle;
        pending::<()>().await;
    });
    stuck().await;
}

async fn beside_an_idle_pool() {
    spawn_blocking(|| ()).await.unwrap();
    stuck().await;
}

async fn with_a_waker_in_a_task() {
    let waker = my_waker().await;
    let _keeps = spawn(async move {
        let _waker = waker;
        pending::<()>().await;
    });
    pending::<()>().await;
}

/// After the panic of one `block_on` the next one works.
fn twice(runtime: &Runtime) {
    let call = || runtime.block_on(stuck());
    let first = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_err();
    let text = wakeful_tests::trace::text_of(&*first);
    println!("first: {}", text.lines().next().unwrap());
    assert_eq!(
        runtime.block_on(async { spawn(async { 42 }).await.unwrap() }),
        42
    );
    call();
}

async fn woken_by_a_thread() {
    let waker = my_waker().await;
    let thread = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        waker.wake();
    });
    pending_once().await;
    thread.join().unwrap();
}

/// Each wake is the last thing that a thread does.
async fn woken_by_threads_that_end() {
    for n in 0..300 {
        let waker = my_waker().await;
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_micros(n * 97 % 500));
            waker.wake();
        });
        pending_once().await;
        drop(thread);
    }
}

/// The loop goes on, and waits, before the hook has returned.
fn woken_by_a_stall_hook() {
    let (called, calls) = mpsc::channel();
    let (send, wakers) = mpsc::channel::<Waker>();
    let hook = move |_: &Stall| {
        called.send(()).unwrap();
        thread::sleep(Duration::from_millis(50));
        wakers.recv().unwrap().wake();
    };
    let builder = Builder::new()
        .watch(Duration::from_millis(20))
        .on_stall(hook);
    builder.build().unwrap().block_on(async {
        let waker = my_waker().await;
        calls.recv().unwrap();
        send.send(waker).unwrap();
        pending_once().await;
    });
}

/// The hook is dropped after its runtime has ended.
fn woken_by_the_drop_of_a_stall_hook(runtime: &Runtime) {
    struct WakesOnDrop(mpsc::Receiver<Waker>);
    impl Drop for WakesOnDrop {
        fn drop(&mut self) {
            let waker = self.0.recv().unwrap();
            thread::sleep(Duration::from_millis(50));
            waker.wake();
        }
    }
    let (send, wakers) = mpsc::channel();
    let wakes = WakesOnDrop(wakers);
    let hook = move |_: &Stall| _ = &wakes;
    let builder = Builder::new()
        .watch(Duration::from_secs(3600))
        .on_stall(hook);
    drop(builder.build().unwrap());
    runtime.block_on(async move {
        send.send(my_waker().await).unwrap();
        pending_once().await;
    });
}

async fn pending_once() {
    let mut polled = false;
    std::future::poll_fn(|_| match std::mem::replace(&mut polled, true) {
        true => std::task::Poll::Ready(()),
        false => std::task::Poll::Pending,
    })
    .await;
}

/// More threads of the pool than a dump lists.
fn many_idle_threads() {
    const THREADS: usize = 1_010;
    let builder = Builder::new().max_blocking_threads(THREADS);
    builder.build().unwrap().block_on(async {
        let all_run = Arc::new(Barrier::new(THREADS));
        let closures: Vec<_> = (0..THREADS)
            .map(|_| {
                let all_run = Arc::clone(&all_run);
                spawn_blocking(move || all_run.wait())
            })
            .collect();
        for closure in closures {
            closure.await.unwrap();
        }
        woken_by_a_thread().await;
    });
}

async fn accept() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    listener.accept().await.unwrap();
}

async fn closure() {
    let sleeps = || thread::sleep(Duration::from_millis(50));
    spawn_blocking(sleeps).await.unwrap();
}

async fn wait_for_a_signal() {
    let mut listener = signal(SignalKind::user_defined1()).unwrap();
    let received = spawn(async move { listener.recv().await });
    settle().await;
    // A source without a waiter is no reason to wait.
    let (here, _there) = std::os::unix::net::UnixStream::pair().unwrap();
    here.set_nonblocking(true).unwrap();
    let here = AsyncFd::new(here).unwrap();
    assert!(here.as_raw_fd() > 0);
    println!("ready");
    received.await.unwrap().unwrap();
}

fn probable() {
    let (send, received) = std::sync::mpsc::channel::<()>();
    thread::Builder::new()
        .name("other".to_owned())
        .spawn(move || received.recv().is_err())
        .unwrap();
    let runtime = with_policy(OnDeadlock::Panic);
    let _handle = runtime.handle().clone();
    runtime.block_on(stuck());
    drop(send);
}

/// The thread wakes the task before the limit, several times.
fn probable_and_woken() {
    let runtime = Builder::new()
        .deadlock_after(Duration::from_secs(20))
        .build()
        .unwrap();
    for _ in 0..3 {
        runtime.block_on(woken_by_a_thread());
    }
}
