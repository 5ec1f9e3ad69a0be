//! What a runtime reports about itself: the info of each task, and exact counters.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;

use wakeful::io::{AsyncFd, AsyncRead as _, Interest, Ready};
use wakeful::runtime::{Builder, Handle, Runtime, RuntimeMetrics};
use wakeful::signal::unix::{SignalKind, signal};
use wakeful::spawn;
use wakeful::task::{
    self, Id, JoinHandle, TaskInfo, TaskState, WakeCause, dump, spawn_blocking, yield_now,
};
use wakeful::time::{Duration, advance, interval, sleep, sleep_until, timeout};
use wakeful_net::{TcpListener, TcpSocket, TcpStream, UnixDatagram, UnixSocket, UnixStream};
use wakeful_tests::trace::{
    Trace, Wakes, alone, my_waker, on_drop, pair, paused, runtime, secs, settle, stderr,
};

/// Returns the info of one task.
#[track_caller]
fn info(id: Id) -> TaskInfo {
    let found = dump().into_iter().find(|info| info.id == id);
    found.expect("a live task")
}

/// Spawns a task, and returns the info of its wait and its handle.
async fn waits_on<T: 'static>(
    task: impl Future<Output = T> + 'static,
) -> (
    Option<(&'static str, &'static Location<'static>, Option<i32>)>,
    JoinHandle<T>,
) {
    let task = spawn(task);
    settle().await;
    let info = info(task.id());
    assert_eq!(info.state, TaskState::Waiting);
    let waiting = info.waiting;
    let waiting = waiting.map(|waiting| (waiting.operation, waiting.location, waiting.fd()));
    (waiting, task)
}

/// Asserts that a task waits on `operation`, called in this file in the given line.
#[track_caller]
fn assert_waits(
    waiting: Option<(&'static str, &'static Location<'static>, Option<i32>)>,
    operation: &str,
    line: u32,
    fd: Option<i32>,
) {
    let (named, location, on) = waiting.expect("the info of a wait");
    assert_eq!((named, location.line(), on), (operation, line, fd));
    assert_eq!(location.file(), file!());
}

// --- the info of waits ------------------------------------------------------------------------------

#[test]
fn a_wait_for_time_reports_operation_and_location() {
    paused().block_on(async {
        let (waiting, _task) = waits_on(async { sleep(secs(3600)).await }).await;
        assert_waits(waiting, "sleep", line!() - 1, None);
        let deadline = wakeful::time::Instant::now() + secs(3600);
        let (waiting, _task) = waits_on(async move { sleep_until(deadline).await }).await;
        assert_waits(waiting, "sleep_until", line!() - 1, None);
        let (waiting, _task) = waits_on(async { timeout(secs(3600), pending::<()>()).await }).await;
        assert_waits(waiting, "timeout", line!() - 1, None);
        let (waiting, _task) = waits_on(async {
            let mut hours = interval(secs(3600));
            hours.tick().await;
            hours.tick().await
        })
        .await;
        assert_waits(waiting, "Interval::tick", line!() - 3, None);
    });
}

#[test]
fn a_wait_for_a_descriptor_reports_operation_location_and_descriptor() {
    runtime().block_on(async {
        let source = || {
            let (here, there) = pair();
            let fd = AsyncFd::new(here).unwrap();
            let number = Some(fd.as_raw_fd());
            (fd, there, number)
        };
        let (fd, _there, number) = source();
        let (waiting, _task) = waits_on(async move { drop(fd.readable().await) }).await;
        assert_waits(waiting, "AsyncFd::readable", line!() - 1, number);

        let (fd, _there, number) = source();
        let readable = Interest::READABLE;
        let (waiting, _task) = waits_on(async move { drop(fd.ready(readable).await) }).await;
        assert_waits(waiting, "AsyncFd::ready", line!() - 1, number);

        let (fd, _there, number) = source();
        let (waiting, _task) = waits_on(async move {
            drop(fd.writable().await);
            while fd
                .try_io(Interest::WRITABLE, |mut here| here.write(&[0; 4096]))
                .is_ok()
            {}
            drop(fd.writable().await);
        })
        .await;
        assert_waits(waiting, "AsyncFd::writable", line!() - 3, number);

        let (fd, _there, number) = source();
        let (waiting, _task) = waits_on(async move {
            let never = fd.async_io(Interest::READABLE, |_| -> std::io::Result<()> { Ok(()) });
            never.await.unwrap();
        })
        .await;
        assert_waits(waiting, "AsyncFd::async_io", line!() - 4, number);

        let (fd, _there, number) = source();
        let (waiting, _task) = waits_on(async move {
            drop(poll_fn(|cx| fd.poll_read_ready(cx)).await);
        })
        .await;
        assert_waits(waiting, "AsyncFd::poll_read_ready", line!() - 3, number);

        let (fd, _there, number) = source();
        let (waiting, _task) = waits_on(async move {
            let readable = fd.readable().operation("Pigeon::arrive");
            drop(readable.await);
        })
        .await;
        assert_waits(waiting, "Pigeon::arrive", line!() - 4, number);
    });
}

#[test]
fn a_wait_for_a_connection_reports_the_call_of_connect() {
    runtime().block_on(async {
        // The kernel does not answer a connection while the listener's queue is full.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let _first = TcpStream::connect(address).await.unwrap();
        let _second = TcpStream::connect(address).await.unwrap();

        let (waiting, task) = waits_on(async move {
            let connecting = TcpStream::connect(address);
            drop(connecting.await);
        })
        .await;
        let number = waiting.unwrap().2;
        assert!(number.is_some());
        assert_waits(waiting, "TcpStream::connect", line!() - 6, number);
        task.abort();

        let (waiting, task) = waits_on(async move {
            let socket = TcpSocket::new_v4().unwrap();
            drop(socket.connect(address).await);
        })
        .await;
        let number = waiting.unwrap().2;
        assert_waits(waiting, "TcpSocket::connect", line!() - 4, number);
        task.abort();
    });
}

#[test]
fn a_pause_before_a_retry_on_a_unix_socket_reports_the_operation() {
    runtime().block_on(async {
        let name = format!("\0wakeful-records-{}", std::process::id());
        let socket = UnixSocket::new_stream().unwrap();
        socket.bind(&name).unwrap();
        let _listener = socket.listen(0).unwrap();
        let _queued = UnixStream::connect(&name).await.unwrap();
        let target = name.clone();
        let (waiting, task) = waits_on(async move {
            drop(UnixStream::connect(target).await); // the queue is full
        })
        .await;
        assert_waits(waiting, "UnixStream::connect", line!() - 3, None);
        task.abort();

        let name = format!("{name}-datagrams");
        let _receiver = UnixDatagram::bind(&name).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        while sender.try_send_to(b"x", &name).is_ok() {}
        // The sender stays writable, because the kernel reports the room in the sender's own
        // buffer.
        sender.writable().await.unwrap();
        let (waiting, task) = waits_on(async move {
            drop(sender.send_to(b"x", &name).await);
        })
        .await;
        assert_waits(waiting, "UnixDatagram::send_to", line!() - 3, None);
        task.abort();
    });
}

#[test]
fn a_poll_function_of_a_stream_or_listener_reports_operation_and_location() {
    runtime().block_on(async {
        let (here, _there) = UnixStream::pair().unwrap();
        let number = Some(here.as_raw_fd());
        let (waiting, _task) = waits_on(async move {
            let mut here = here;
            let mut buf = [0; 4];
            poll_fn(|cx| Pin::new(&mut here).poll_read(cx, &mut buf)).await
        })
        .await;
        assert_waits(waiting, "UnixStream::poll_read", line!() - 3, number);

        let (here, _there) = UnixStream::pair().unwrap();
        let number = Some(here.as_raw_fd());
        let (waiting, _task) = waits_on(async move {
            poll_fn(|cx| here.poll_read_ready(cx)).await //
        })
        .await;
        assert_waits(waiting, "UnixStream::poll_read_ready", line!() - 3, number);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let number = Some(listener.as_raw_fd());
        let (waiting, _task) = waits_on(async move {
            drop(poll_fn(|cx| listener.poll_accept(cx)).await);
        })
        .await;
        assert_waits(waiting, "TcpListener::poll_accept", line!() - 3, number);
    });
}

#[test]
fn waits_for_a_signal_and_for_a_task_report_operation_and_location() {
    alone(|| {
        runtime().block_on(async {
            let mut listener = signal(SignalKind::user_defined1()).unwrap();
            let (waiting, _task) = waits_on(async move { listener.recv().await }).await;
            assert_waits(waiting, "Signal::recv", line!() - 1, None);
            let never = spawn(pending::<()>());
            let (waiting, _task) = waits_on(async move { never.await.unwrap() }).await;
            assert_waits(waiting, "JoinHandle", line!() - 1, None);
        });
    });
}

#[test]
fn a_wait_for_user_code_does_not_report_the_previous_wait() {
    paused().block_on(async {
        let (waiting, task) = waits_on(async {
            sleep(secs(1)).await;
            pending::<()>().await;
        })
        .await;
        assert_eq!(waiting.map(|waiting| waiting.0), Some("sleep"));
        sleep(secs(2)).await;
        assert!(info(task.id()).waiting.is_none());
    });
}

#[test]
fn a_wait_reports_its_duration() {
    paused().block_on(async {
        advance(secs(5)).await;
        let task = spawn(sleep(secs(3600)));
        settle().await;
        let elapsed = |seconds| {
            let waiting = info(task.id()).waiting.unwrap();
            assert_eq!(waiting.elapsed, secs(seconds));
        };
        elapsed(0);
        advance(secs(90)).await;
        elapsed(90);
        advance(secs(10)).await;
        elapsed(100);
    });
}

// --- the info of tasks ------------------------------------------------------------------------------

#[test]
fn a_task_info_has_the_name_and_the_location_of_the_spawn() {
    let runtime = runtime();
    runtime.block_on(async {
        let builder = task::Builder::new().name("worker");
        let line = line!() + 1;
        let plain = spawn(pending::<()>());
        let named = builder.spawn(pending::<()>()).unwrap();
        let blocking = spawn_blocking(|| ());
        let info_of = |id: Id| {
            let info = info(id);
            assert_eq!(info.spawned_at.file(), file!());
            (info.name, info.spawned_at.line())
        };
        assert_eq!(info_of(plain.id()), (None, line));
        assert_eq!(info_of(named.id()), (Some("worker".to_owned()), line + 1));
        assert_eq!(
            info_of(blocking.id()),
            (Some("spawn_blocking".to_owned()), line + 2)
        );
        blocking.await.unwrap();
        drop((plain, named));
    });
    let outside = runtime.spawn(async {});
    let line = line!() - 1;
    let tasks = runtime.dump().tasks;
    let info = tasks.iter().find(|info| info.id == outside.id());
    assert_eq!(info.unwrap().spawned_at.line(), line);
    assert_eq!(tasks.len(), 3);
}

#[test]
fn a_name_belongs_to_the_task_and_not_to_its_row() {
    runtime().block_on(async {
        let named = task::Builder::new().name("first").spawn(async {}).unwrap();
        let row = named.id().to_string();
        named.await.unwrap();
        let next = spawn(async {});
        assert_eq!((&*row, &*next.id().to_string()), ("1.0", "1.1"));
        assert_eq!(info(next.id()).name, None);
    });
}

#[test]
fn a_task_info_has_the_state_and_the_count_of_polls() {
    runtime().block_on(async {
        let inside = Rc::new(RefCell::new(None));
        let task = spawn({
            let inside = Rc::clone(&inside);
            async move {
                yield_now().await;
                *inside.borrow_mut() = Some(info(task::id()));
                let waker = my_waker().await;
                let mut waited = false;
                poll_fn(move |_| {
                    let _keeps = &waker;
                    if std::mem::replace(&mut waited, true) {
                        return Poll::Ready(());
                    }
                    Poll::Pending
                })
                .await;
            }
        });
        let now = || {
            let info = info(task.id());
            (info.state, info.polls)
        };
        assert_eq!(now(), (TaskState::Scheduled, 0));
        yield_now().await;
        assert_eq!(now(), (TaskState::Scheduled, 1), "it has yielded");
        settle().await;
        assert_eq!(now(), (TaskState::Waiting, 2));
        let inside = inside.take().unwrap();
        assert_eq!((inside.state, inside.polls), (TaskState::Running, 2));
        task.abort();
        assert_eq!(now().0, TaskState::Scheduled);
        settle().await;
        assert_eq!(now(), (TaskState::Finished, 3));
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(dump().is_empty());
    });
}

/// Spawns a task that never ends, and returns its id and waker.
async fn sleeper() -> (Id, Waker) {
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    let task = spawn({
        let waker = Rc::clone(&waker);
        poll_fn(move |cx| {
            waker.borrow_mut().get_or_insert_with(|| cx.waker().clone());
            Poll::<()>::Pending
        })
    });
    settle().await;
    let waker = waker.take().unwrap();
    (task.id(), waker)
}

/// Returns the cause of wakes by a task.
fn by_task(id: Id) -> WakeCause {
    let shown = id.to_string();
    let (row, generation) = shown.split_once('.').unwrap();
    WakeCause::Task {
        row: row.parse().unwrap(),
        generation: generation.parse().unwrap(),
    }
}

#[test]
fn a_wake_in_the_drop_of_an_output_has_its_task_as_cause() {
    runtime().block_on(async {
        let (first, waker) = sleeper().await;
        let (second, other) = sleeper().await;
        let dropped = spawn(async move { on_drop(move || waker.wake()) });
        let next = spawn(async move { other.wake() });
        let expected = [by_task(dropped.id()), by_task(next.id())];
        drop(dropped);
        settle().await;
        let causes = [first, second].map(|id| info(id).last_wake);
        assert_eq!(causes, expected);
    });
}

#[test]
fn a_wake_after_an_external_waker_in_the_same_poll_has_the_task_as_cause() {
    runtime().block_on(async {
        let (id, waker) = sleeper().await;
        let (here, _there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let wakes = Wakes::new();
        let polled = fd.poll_read_ready(&mut Context::from_waker(&wakes.waker()));
        assert!(polled.is_pending());
        let task = spawn(async move {
            fd.assume_ready(Ready::READABLE); // wakes the external waker, with another cause
            waker.wake();
        });
        let by_task = by_task(task.id());
        task.await.unwrap();
        assert_eq!(wakes.count(), 1);
        assert_eq!(info(id).last_wake, by_task);
    });
}

#[test]
fn a_task_info_has_the_cause_of_the_last_wake() {
    let runtime = paused();
    runtime.block_on(async {
        let cause = |id| info(id).last_wake;
        let (id, waker) = sleeper().await;
        assert_eq!(cause(id), WakeCause::Spawn);
        waker.wake_by_ref();
        assert_eq!(cause(id), WakeCause::Root);
        settle().await;
        let other = spawn({
            let waker = waker.clone();
            async move { waker.wake() }
        });
        let by_task = by_task(other.id());
        other.await.unwrap();
        assert_eq!(cause(id), by_task);
        settle().await;
        thread::spawn(move || waker.wake()).join().unwrap();
        settle().await;
        assert_eq!(cause(id), WakeCause::Thread);

        let timer = spawn(async {
            sleep(secs(1)).await;
            pending::<()>().await;
        });
        sleep(secs(2)).await;
        assert_eq!(cause(timer.id()), WakeCause::Timer);

        let (here, mut there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let number = fd.as_raw_fd();
        let reader = spawn(async move {
            drop(fd.readable().await);
            pending::<()>().await;
        });
        settle().await;
        there.write_all(b"x").unwrap();
        settle().await;
        let ready = Ready::READABLE | Ready::WRITABLE;
        assert_eq!(cause(reader.id()), WakeCause::Io { fd: number, ready });

        let yields = spawn(async { yield_now().await });
        yield_now().await;
        assert_eq!(cause(yields.id()), WakeCause::Yield);
        let aborted = spawn(pending::<()>());
        settle().await;
        aborted.abort();
        assert_eq!(cause(aborted.id()), WakeCause::Abort);
    });
    // Outside of `block_on` the cause is no task.
    let (id, waker) = runtime.block_on(sleeper());
    let _entered = runtime.enter();
    waker.wake();
    assert_eq!(info(id).last_wake, WakeCause::Thread);
}

#[test]
fn wake_causes_have_a_display_text() {
    let ready = Ready::READABLE;
    let (row, generation) = (3, 1);
    let task = WakeCause::Task { row, generation };
    for (cause, words) in [
        (WakeCause::Spawn, "spawned"),
        (WakeCause::Io { fd: 7, ready }, "fd 7 READABLE"),
        (WakeCause::Timer, "timer"),
        (task, "task in row 3"),
        (WakeCause::Root, "root future"),
        (WakeCause::Thread, "another thread"),
        (WakeCause::Yield, "yielded"),
        (WakeCause::Abort, "aborted"),
    ] {
        assert_eq!(cause.to_string(), words);
    }
}

#[test]
fn a_task_info_is_displayed_in_one_line() {
    paused().block_on(async {
        let builder = task::Builder::new().name("worker");
        let task = builder.spawn(async { sleep(secs(60)).await }).unwrap();
        let line = line!() - 1;
        let file = file!();
        let shown = || info(task.id()).to_string();
        let column = info(task.id()).spawned_at.column();
        let head = format!("task 1.0 \"worker\" spawned at {file}:{line}:{column}");
        let queued = format!("{head}, 0 polls, in the run queue, last woken by: spawned");
        assert_eq!(shown(), queued);
        settle().await;
        advance(secs(5)).await;
        let waits = format!("{head}, 1 poll, waits on sleep at {file}:{line}:");
        assert!(shown().starts_with(&waits), "{}", shown());
        assert!(
            shown().ends_with(" for 5s, last woken by: spawned"),
            "{}",
            shown()
        );
        advance(secs(60)).await;
        settle().await;
        let finished = format!("{head}, 2 polls, finished, not joined, last woken by: timer");
        assert_eq!(shown(), finished);

        let (here, _there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let number = fd.as_raw_fd();
        let reader = spawn(async move { drop(fd.readable().await) });
        let foreign = spawn(pending::<()>());
        settle().await;
        let shown = info(reader.id()).to_string();
        assert!(shown.contains(&format!(" (fd {number}) for ")), "{shown}");
        let shown = info(foreign.id()).to_string();
        assert!(shown.contains(", 1 poll, waits, last woken"), "{shown}");
    });
}

// --- counters ---------------------------------------------------------------------------------------

/// Differences of counters since a moment.
struct Since(RuntimeMetrics);

impl Since {
    fn now() -> Self {
        Since(wakeful::metrics())
    }

    /// Asserts the difference of one counter.
    #[track_caller]
    fn expect(&self, name: &str, counter: impl Fn(&RuntimeMetrics) -> u64, times: u64) {
        let more = counter(&wakeful::metrics()) - counter(&self.0);
        assert_eq!(more, times, "{name}");
    }
}

#[test]
fn the_counters_are_exact_in_a_scripted_run() {
    let runtime = paused();
    runtime.block_on(async {
        let since = Since::now();
        scripted_wakes(&since).await;
        scripted_ends(&since).await;
        let now = wakeful::metrics();
        let by_cause = now.wakes_by_spawn
            + now.wakes_by_io
            + now.wakes_by_timer
            + now.wakes_by_task
            + now.wakes_by_root
            + now.wakes_by_thread
            + now.wakes_by_yield
            + now.wakes_by_abort;
        assert_eq!(now.wakes(), by_cause);
    });
}

/// Ends in its fourth poll. The first one stores its waker.
async fn four_polls(stored: Rc<RefCell<Option<Waker>>>) {
    let mut polls = 0;
    poll_fn(move |cx| {
        polls += 1;
        if polls == 1 {
            *stored.borrow_mut() = Some(cx.waker().clone());
        }
        if polls == 4 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Wakes three tasks by every cause: a reader, a timer, and one that the test wakes itself.
async fn scripted_wakes(since: &Since) {
    let (here, mut there) = pair();
    let stored: Rc<RefCell<Option<Waker>>> = Rc::default();
    let fd = AsyncFd::new(here).unwrap();
    let reader = spawn(async move { fd.readable().await.is_ok() });
    let timer = spawn(sleep(secs(1)));
    let woken = spawn(four_polls(Rc::clone(&stored)));
    settle().await;
    since.expect("spawned", |m| m.spawned_tasks_count, 3);
    since.expect("by spawn", |m| m.wakes_by_spawn, 3);
    since.expect("polls", |m| m.polls, 3);
    since.expect("root polls", |m| m.root_polls, 4);
    // The socket becomes writable, which is an event that wakes no task.
    since.expect("events", |m| m.io_ready_count, 1);
    let now = wakeful::metrics();
    assert_eq!((now.num_alive_tasks, now.sources, now.waiting), (3, 1, 1));
    assert_eq!((now.timers_armed, now.timers_fired), (1, 0));

    let waker = stored.take().unwrap();
    waker.wake_by_ref();
    waker.wake_by_ref();
    settle().await;
    since.expect("by the root", |m| m.wakes_by_root, 1);
    since.expect("coalesced", |m| m.wakes_coalesced, 1);

    let wakes = spawn({
        let waker = waker.clone();
        async move { waker.wake() }
    });
    wakes.await.unwrap();
    settle().await;
    // The second one is the joiner: the ended task woke the root.
    since.expect("by a task", |m| m.wakes_by_task, 2);

    let stale = waker.clone();
    thread::spawn(move || waker.wake()).join().unwrap();
    woken.await.unwrap();
    since.expect("by a thread", |m| m.wakes_by_thread, 1);
    since.expect("messages", |m| m.remote_messages, 1);
    stale.wake();
    since.expect("stale", |m| m.wakes_stale, 1);

    there.write_all(b"x").unwrap();
    assert!(reader.await.unwrap());
    since.expect("by i/o", |m| m.wakes_by_io, 1);
    since.expect("events", |m| m.io_ready_count, 2);
    since.expect("stale events", |m| m.events_stale, 0);

    timer.await.unwrap();
    since.expect("by a timer", |m| m.wakes_by_timer, 1);
    since.expect("fired", |m| m.timers_fired, 1);
}

/// Ends tasks by an abort, after a yield, and by a panic. Nothing is left then.
async fn scripted_ends(since: &Since) {
    let aborted = spawn(pending::<()>());
    settle().await;
    aborted.abort();
    assert!(aborted.await.unwrap_err().is_cancelled());
    since.expect("by abort", |m| m.wakes_by_abort, 1);

    // The root has yielded as well, in `settle`.
    let before = wakeful::metrics().wakes_by_yield;
    spawn(yield_now()).await.unwrap();
    assert_eq!(wakeful::metrics().wakes_by_yield, before + 1);
    assert!(spawn(async { panic!("counted") }).await.is_err());
    since.expect("panics", |m| m.panics, 1);
    since.expect("unhandled", |m| m.panics_unhandled, 0);
    spawn_blocking(|| ()).await.unwrap();
    let now = wakeful::metrics();
    assert_eq!(now.num_blocking_threads, 1);
    let left = [
        now.num_alive_tasks,
        now.sources,
        now.waiting,
        now.timers_armed,
    ];
    assert_eq!(left, [0; 4]);
}

#[test]
fn turns_and_epoll_waits_are_counted_separately() {
    let runtime = runtime();
    runtime.block_on(async {
        let since = Since::now();
        settle().await;
        since.expect("turns", |m| m.turns, 4);
        since.expect("no wait without sources", |m| m.epoll_waits, 0);
        let (here, _there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        settle().await;
        since.expect("turns", |m| m.turns, 8);
        since.expect("one per turn", |m| m.epoll_waits, 4);
        drop(fd);
    });
}

#[test]
fn a_wake_of_another_thread_is_not_counted_as_an_event() {
    runtime().block_on(async {
        let since = Since::now();
        let handle = Handle::current();
        let waking = spawn_blocking(move || {
            for _ in 0..100 {
                handle.spawn(|| async {}).wait().unwrap();
            }
        });
        waking.await.unwrap();
        since.expect("events", |m| m.io_ready_count, 0);
    });
}

#[test]
fn poll_times_are_reported_only_if_they_are_measured() {
    let plain = runtime();
    plain.block_on(settle());
    plain.spawn(async {});
    plain.block_on(settle());
    assert_eq!(
        (plain.metrics().poll_p50(), plain.metrics().poll_p99()),
        (None, None)
    );

    let measured = Builder::new()
        .enable_metrics_poll_time_histogram(true)
        .build()
        .unwrap();
    assert_eq!(measured.metrics().poll_p50(), None, "no poll yet");
    for _ in 0..98 {
        measured.spawn(async {});
    }
    for _ in 0..2 {
        measured.spawn(async { thread::sleep(Duration::from_millis(3)) });
    }
    measured.block_on(settle());
    let metrics = measured.metrics();
    let (half, most) = (metrics.poll_p50().unwrap(), metrics.poll_p99().unwrap());
    assert!(
        half < Duration::from_millis(3) && most >= Duration::from_millis(3),
        "{half:?} {most:?}"
    );
}

#[test]
fn a_slow_poll_is_reported_with_name_and_location() {
    let reported: Rc<RefCell<Vec<String>>> = Rc::default();
    let limit = Duration::from_millis(2);
    let builder = Builder::new().on_slow_poll(limit, {
        let reported = Rc::clone(&reported);
        move |slow| {
            assert!(slow.took >= limit);
            // The hook is user code, which can use the runtime.
            drop(spawn(async {}));
            drop(wakeful::metrics());
            let line = slow.spawned_at.map(Location::line);
            reported
                .borrow_mut()
                .push(format!("{:?} {line:?}", slow.name));
        }
    });
    let runtime = builder.build().unwrap();
    let slow = task::Builder::new().name("slow");
    runtime.block_on(async {
        let line = line!() + 1;
        let task = slow.spawn(async move {
            thread::sleep(Duration::from_millis(3));
            yield_now().await;
        });
        task.unwrap().await.unwrap();
        spawn(async {}).await.unwrap();
        assert_eq!(*reported.borrow(), [format!("Some(\"slow\") Some({line})")]);
    });
}

#[test]
fn a_slow_poll_hook_that_panics_affects_neither_the_task_nor_the_runtime() {
    let output = alone(|| {
        let runtime = Builder::new()
            .on_slow_poll(Duration::ZERO, |_| panic!("slow poll hook"))
            .build()
            .unwrap();
        let trace = Trace::new();
        let output = runtime.block_on(async {
            let task = spawn({
                let trace = trace.clone();
                async move {
                    trace.push("first poll");
                    yield_now().await;
                    trace.push("second poll");
                    "output"
                }
            });
            task.await
        });
        assert_eq!(output.unwrap(), "output");
        trace.expect(&["first poll", "second poll"]);
        assert_eq!(runtime.metrics().num_alive_tasks, 0);
    });
    let Some(output) = output else { return };
    let stderr = stderr(&output);
    assert!(stderr.contains("panicked: \"slow poll hook\""), "{stderr}");
}

#[test]
fn metrics_and_dumps_are_available_inside_and_outside_of_block_on() {
    let runtime: Runtime = runtime();
    runtime.spawn(pending::<()>());
    let count = Rc::new(Cell::new(0));
    runtime.block_on(async {
        settle().await;
        count.set(dump().len());
        assert_eq!(wakeful::metrics().num_alive_tasks, 1);
    });
    assert_eq!(count.get(), runtime.dump().tasks.len());
    assert_eq!(runtime.metrics().num_alive_tasks, 1);
    let _entered = runtime.enter();
    assert_eq!(dump().len(), 1);
    assert_eq!(wakeful::metrics().spawned_tasks_count, 1);
}

#[test]
fn a_wake_by_closing_a_socket_has_the_task_that_closed_it_as_cause() {
    runtime().block_on(async {
        let (here, _there) = pair();
        let shared = Rc::new(RefCell::new(Some(AsyncFd::new(here).unwrap())));
        let reader = spawn({
            let shared = Rc::clone(&shared);
            poll_fn(move |cx| match &*shared.borrow() {
                Some(fd) => fd.poll_read_ready(cx).map(drop),
                None => Poll::Pending,
            })
        });
        settle().await;
        let closer = spawn(async move {
            let fd = shared.take();
            drop(fd);
        });
        let by_task = by_task(closer.id());
        closer.await.unwrap();
        assert_eq!(info(reader.id()).last_wake, by_task);
        reader.abort();
    });
}
