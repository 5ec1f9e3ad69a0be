//! Programs that are written for tokio, compiled and run on Wakeful. The package is named `tokio`, as in
//! the manifest of such a program.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio::time::{Instant, sleep, timeout};

// --- attributes and the builder ---------------------------------------------------------------------

#[tokio::test]
async fn a_test_runs_on_the_runtime() {
    assert_eq!(tokio::spawn(async { 42 }).await.unwrap(), 42);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_multi_thread_flavor_has_one_thread() {
    assert_eq!(
        Handle::current().runtime_flavor(),
        RuntimeFlavor::CurrentThread
    );
    let here = std::thread::current().id();
    let tasks: JoinSet<_> = (0..100)
        .map(|_| async { std::thread::current().id() })
        .collect();
    assert!(tasks.join_all().await.iter().all(|there| *there == here));
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_jumps_although_a_socket_waits() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let begin = Instant::now();
    let received = timeout(Duration::from_secs(3_600), socket.recv(&mut [0])).await;
    assert!(received.is_err());
    assert!(begin.elapsed() >= Duration::from_secs(3_600));
}

#[tokio::test(start_paused = true)]
async fn the_longest_sleep_ends() {
    sleep(Duration::MAX).await;
}

#[test]
fn a_runtime_has_its_name_and_a_number_of_its_own() {
    let named = Builder::new_current_thread().name("first").build().unwrap();
    let other = Runtime::new().unwrap();
    assert_eq!(named.handle().name(), Some("first"));
    assert_eq!(other.handle().name(), None);
    assert_ne!(named.handle().id(), other.handle().id());
    let of_task = named.block_on(async { Handle::current().id() });
    assert_eq!(of_task, named.handle().id());
}

// --- handles ----------------------------------------------------------------------------------------

#[test]
fn a_handle_spawns_from_another_thread_and_the_task_can_be_joined_there() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle().clone();
    let (end, ended) = oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let task = handle.spawn(async {
            sleep(Duration::from_millis(1)).await;
            std::thread::current().id()
        });
        let output = handle.block_on(task).unwrap();
        drop(end);
        output
    });
    assert!(runtime.block_on(ended).is_err());
    assert_eq!(thread.join().unwrap(), std::thread::current().id());
}

#[test]
fn an_abort_handle_ends_a_task_that_was_spawned_from_another_thread() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle().clone();
    let (report, reported) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        let task = handle.spawn(std::future::pending::<()>());
        task.abort_handle().abort();
        report.send(handle.block_on(task)).unwrap();
    });
    assert!(
        runtime
            .block_on(reported)
            .unwrap()
            .unwrap_err()
            .is_cancelled()
    );
    thread.join().unwrap();
}

#[test]
fn a_blocking_closure_of_a_handle_runs_and_its_panic_is_an_error() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle().clone();
    let (report, reported) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        let output = handle.block_on(handle.spawn_blocking(|| 42));
        let panicked = handle.block_on(handle.spawn_blocking(|| panic!("on purpose")));
        report.send((output, panicked)).unwrap();
    });
    let (output, panicked) = runtime.block_on(reported).unwrap();
    assert_eq!(output.unwrap(), 42);
    assert!(panicked.unwrap_err().is_panic());
    thread.join().unwrap();
}

#[tokio::test]
async fn a_blocking_closure_reaches_its_runtime_by_the_current_handle() {
    let here = std::thread::current().id();
    let ask = move || {
        let handle = Handle::current();
        let task = handle.spawn(async { std::thread::current().id() });
        handle.block_on(task).unwrap() == here
    };
    assert!(tokio::task::spawn_blocking(ask).await.unwrap());
    let mut set = JoinSet::new();
    set.spawn_blocking(ask);
    assert_eq!(set.join_all().await, [true]);
    // The thread is used again, by a closure that no runtime of this package started.
    let no_handle = wakeful::task::spawn_blocking(|| Handle::try_current().is_err());
    assert!(no_handle.await.unwrap());
}

#[tokio::test]
async fn the_id_of_a_blocking_closure_is_that_of_its_handle() {
    let task = tokio::task::spawn_blocking(tokio::task::id);
    let id = task.id();
    assert_eq!(task.await.unwrap(), id);
    assert_eq!(tokio::task::try_id(), None);
}

// --- local sets -------------------------------------------------------------------------------------

#[test]
fn a_task_of_a_local_set_begins_when_there_is_a_runtime() {
    let local = LocalSet::new();
    let shared = Rc::new(42);
    let task = local.spawn_local(async move { *shared });
    assert!(!task.is_finished());
    let runtime = Builder::new_current_thread().build().unwrap();
    assert_eq!(local.block_on(&runtime, task).unwrap(), 42);
}

#[test]
fn a_task_of_a_local_set_that_never_had_a_runtime_is_canceled() {
    let local = LocalSet::new();
    let shared = Rc::new(());
    let task = local.spawn_local({
        let shared = Rc::clone(&shared);
        async move { drop(shared) }
    });
    drop(local);
    assert_eq!(Rc::strong_count(&shared), 1);
    let runtime = Runtime::new().unwrap();
    assert!(runtime.block_on(task).unwrap_err().is_cancelled());
}

#[test]
fn a_local_set_is_ready_when_its_tasks_have_finished() {
    let runtime = Runtime::new().unwrap();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let local = LocalSet::new();
    local.spawn_local(async move {
        spawn_local(async move {
            tokio::task::yield_now().await;
            sender.send(2).unwrap();
        });
    });
    runtime.block_on(local);
    assert_eq!(receiver.try_recv(), Ok(2));
}

#[test]
fn dropping_a_local_set_drops_the_futures_of_its_tasks() {
    let runtime = Runtime::new().unwrap();
    let shared = Rc::new(());
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let shared = Rc::clone(&shared);
        spawn_local(async move {
            std::future::pending::<()>().await;
            drop(shared);
        });
        tokio::task::yield_now().await;
    });
    assert_eq!(Rc::strong_count(&shared), 2);
    drop(local);
    assert_eq!(Rc::strong_count(&shared), 1);
}

#[tokio::test]
async fn a_join_set_joins_tasks_of_a_local_set_and_of_a_handle() {
    let local = LocalSet::new();
    let mut set = JoinSet::new();
    set.spawn_local_on(async { 1 }, &local);
    set.spawn_on(async { 2 }, &Handle::current());
    set.spawn(async { 3 });
    local
        .run_until(async move {
            let mut outputs = set.join_all().await;
            outputs.sort_unstable();
            assert_eq!(outputs, [1, 2, 3]);
        })
        .await;
}

#[tokio::test]
async fn aborting_a_member_of_a_join_set_aborts_the_task_it_waits_for() {
    let local = LocalSet::new();
    let shared = Arc::new(());
    let mut set = JoinSet::new();
    let held = Arc::clone(&shared);
    set.spawn_local_on(
        async move {
            std::future::pending::<()>().await;
            drop(held);
        },
        &local,
    );
    local.run_until(tokio::task::yield_now()).await;
    set.shutdown().await;
    local.run_until(tokio::task::yield_now()).await;
    assert_eq!(Arc::strong_count(&shared), 1);
}

// --- sockets ----------------------------------------------------------------------------------------

#[tokio::test]
async fn an_accepted_stream_is_read_without_an_event() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    std::io::Write::write_all(&mut &client, b"hello").unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let mut buf = Vec::with_capacity(16);
    assert_eq!(stream.try_read_buf(&mut buf).unwrap(), 5);
    assert_eq!(buf, b"hello");
}

#[tokio::test]
async fn shutdown_ends_the_outgoing_direction() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    client.write_all(b"hello").await.unwrap();
    client.shutdown().await.unwrap();
    let mut text = String::new();
    server.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hello");
}
