//! The dump of a runtime: what it contains, its two forms, and that it changes nothing.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::fs;
use std::future::{Future, pending, poll_fn};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;

use futures_lite::future::or;
use serde_json::Value;
use wakeful::dump::{Detail, Dump, LoopState, SourceKind, dump_with};
use wakeful::io::AsyncFd;
use wakeful::runtime::Runtime;
use wakeful::signal::unix::{SignalKind, signal};
use wakeful::task::{self, Id, TaskInfo, TaskState, WaitTarget, spawn_blocking};
use wakeful::time::{Duration, advance, sleep};
use wakeful::{dump, spawn};
use wakeful_net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use wakeful_tests::net_support::{TempDir, tcp_pair};
use wakeful_tests::schema::violations;
use wakeful_tests::source::workspace;
use wakeful_tests::trace::{
    Wakes, alone, my_waker, pair, paused, poll_once, runtime, secs, settle,
};

/// Returns the JSON form of a dump, after comparing it with the schema.
#[track_caller]
fn json(dump: &Dump) -> Value {
    let path = workspace().join("docs/dump.schema.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let text = dump.to_json();
    assert_eq!(text.lines().count(), 1, "{text}");
    let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(violations(&schema, &value), [""; 0], "{text}");
    value
}

/// Dumps and returns one task.
#[track_caller]
fn info(id: Id) -> TaskInfo {
    dump().task(id).expect("a task that has not ended").clone()
}

/// Returns text without the columns, and without what differs from run to run.
fn normalized(dump: &Dump, form: &str) -> String {
    let here = format!("{}:", file!());
    let mut text = String::new();
    for (number, part) in form.split(&here).enumerate() {
        if number == 0 {
            text.push_str(part);
            continue;
        }
        let end = |part: &str| {
            part.find(|c: char| !c.is_ascii_digit())
                .unwrap_or(part.len())
        };
        let (line, rest) = part.split_at(end(part));
        let rest = &rest[1 + end(&rest[1..])..];
        text.push_str("dump.rs:");
        text.push_str(line);
        text.push_str(rest);
    }
    let runtime = format!("runtime {} ", dump.runtime);
    let threads = format!(", {} thread", dump.threads.len());
    let text = text.replace(&runtime, "runtime N ");
    match text.split_once(&threads) {
        Some((head, rest)) => format!("{head}, N thread{}", rest.trim_start_matches('s')),
        None => text,
    }
}

// --- the two forms ----------------------------------------------------------------------------------

#[test]
fn the_text_form_groups_tasks_that_are_alike() {
    paused().block_on(async {
        let first = line!() + 1;
        let named = task::Builder::new().name("sleeper");
        let sleeper = named.spawn(async { sleep(secs(60)).await }).unwrap();
        for number in 0..998 {
            drop(spawn(async { sleep(secs(90)).await }));
            if number == 500 {
                settle().await;
                advance(secs(5)).await;
            }
        }
        let stuck = spawn(pending::<()>());
        let root = spawn(async move {
            let dump = dump();
            (dump.to_string(), dump)
        });
        settle().await;
        let (text, dump) = root.await.unwrap();
        drop((sleeper, stuck));
        let [a, b, c, d] = [first + 1, first + 3, first + 9, first + 10];
        let block_on = first - 2;
        let expected = format!(
            "runtime N after 5.0 s, polling task 1001.0: 1001 tasks, 0 sources, 999 timers \
             (next due in 55.0 s), N thread\n\
             root: block_on at dump.rs:{block_on}, is in the run queue; 6 polls, last woken by its yield\n\
             998 tasks: spawned at dump.rs:{b}, wait 0 s to 5.0 s on sleep at dump.rs:{b}; \
             longest: task 2.0 (timer due in 85.0 s)\n\
             task 1.0 \"sleeper\": spawned at dump.rs:{a}, waits 5.0 s on sleep at dump.rs:{a} \
             (timer due in 55.0 s); 1 poll, last woken by its spawn\n\
             task 1000.0: spawned at dump.rs:{c}, waits on something outside of the runtime; \
             1 poll, last woken by its spawn\n\
             task 1001.0: spawned at dump.rs:{d}, is being polled; 1 poll, last woken by its spawn"
        );
        assert_eq!(normalized(&dump, &text), expected);
        assert_eq!(dump.groups()[0].tasks.len(), 998);
        json(&dump);
    });
}

#[test]
fn the_alternate_form_has_a_line_per_task_source_and_timer() {
    paused().block_on(async {
        let (here, _there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let number = fd.as_raw_fd();
        let _sleepers: Vec<_> = (0..3).map(|_| spawn(sleep(secs(9)))).collect();
        let _reader = spawn(async move { drop(fd.readable().await) });
        settle().await;
        let text = format!("{:#}", dump());
        let begin_with = |head: &str| text.lines().filter(|line| line.starts_with(head)).count();
        assert_eq!(begin_with("task "), 4, "{text}");
        assert_eq!(begin_with("timer due in 9.0 s: wakes task "), 3, "{text}");
        let source = format!("fd {number}, Unix stream: ready WRITABLE; to read waits task 4.0");
        assert_eq!(begin_with(&source), 1, "{text}");
    });
}

#[test]
fn the_json_form_has_every_field_of_the_schema() {
    paused().block_on(async {
        let line = line!() + 3;
        let worker = task::Builder::new()
            .name("a \"worker\"")
            .spawn(async { sleep(secs(60)).await });
        let worker = worker.unwrap();
        settle().await;
        advance(secs(2)).await;
        let dump = dump();
        let value = json(&dump);
        let place =
            |column: u32| serde_json::json!({ "file": file!(), "line": line, "column": column });
        let spawned = dump.task(worker.id()).unwrap().spawned_at.column();
        let target = serde_json::json!({ "kind": "timer", "due_ns": 58_000_000_000u64 });
        assert_eq!(
            value["tasks"],
            serde_json::json!([{
                "id": "1.0",
                "name": "a \"worker\"",
                "spawned_at": place(spawned),
                "state": "waiting",
                "polls": 1,
                "waiting": {
                    "operation": "sleep",
                    "location": place(dump.tasks[0].waiting.unwrap().location.column()),
                    "elapsed_ns": 2_000_000_000u64,
                    "on": target,
                },
                "waits_for": [target],
                "waker_clones": null,
                "last_wake": { "cause": "spawn" },
            }])
        );
        assert_eq!(value["at_ns"], 2_000_000_000u64);
        assert_eq!(
            value["loop"],
            serde_json::json!({ "state": "polling_root" })
        );
        assert_eq!(value["root"]["id"], "0.0");
        assert_eq!(value["root"]["state"], "running");
        let timer = serde_json::json!({ "due_ns": 58_000_000_000u64, "task": "1.0" });
        assert_eq!(value["timers"], serde_json::json!([timer]));
        assert_eq!(value["messages"], 0);
        let threads = value["threads"].as_array().unwrap();
        let current = |thread: &&Value| thread["is_current"] == true;
        assert_eq!(threads.iter().filter(current).count(), 1);
    });
}

// --- what a task waits for --------------------------------------------------------------------------

#[test]
fn a_task_that_waits_for_two_things_has_both_and_the_recorded_one_first() {
    paused().block_on(async {
        let (here, mut there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let number = fd.as_raw_fd();
        let task = spawn(async move {
            let read = async { drop(fd.readable().await) };
            or(read, sleep(secs(60))).await;
        });
        settle().await;
        let timer = WaitTarget::Timer(Some(secs(60)));
        let read = WaitTarget::Descriptor(number);
        assert_eq!(info(task.id()).waits_for, [timer, read]);
        assert_eq!(info(task.id()).waiting.unwrap().operation, "sleep");
        let dump = dump();
        let text = dump.to_string();
        assert!(
            text.contains(" (timer due in 60.0 s); also for fd "),
            "{text}"
        );
        json(&dump);
        there.write_all(b"x").unwrap();
        task.await.unwrap();
        assert_eq!(wakeful::metrics().timers_armed, 0);
    });
}

#[test]
fn a_join_names_the_task_and_a_task_that_has_ended_is_not_confused_with_the_next_in_its_row() {
    runtime().block_on(async {
        let named = task::Builder::new().name("slow");
        let slow = named.spawn(pending::<()>()).unwrap();
        let slow_id = slow.id();
        let joiner = spawn(slow);
        settle().await;
        assert_eq!(info(joiner.id()).waits_for, [WaitTarget::Task(slow_id)]);
        let text = dump().to_string();
        assert!(
            text.contains(&format!("(task {slow_id} \"slow\")")),
            "{text}"
        );
        json(&dump());

        // A task wakes another one and ends. Its row gets the next task.
        let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
        let woken = spawn({
            let waker = Rc::clone(&waker);
            async move {
                *waker.borrow_mut() = Some(my_waker().await);
                pending::<()>().await;
            }
        });
        settle().await;
        let waker = waker.take().unwrap();
        let wakes = spawn(async move { waker.wake() });
        let row = wakes.id();
        wakes.await.unwrap();
        let next = spawn(pending::<()>());
        assert_eq!(
            next.id().to_string().split('.').next(),
            row.to_string().split('.').next()
        );
        let text = format!("{:#}", dump());
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("task {}", woken.id())));
        assert!(
            line.unwrap()
                .ends_with("last woken by a task that has ended"),
            "{text}"
        );
        let value = json(&dump());
        let of_woken = |task: &&Value| task["id"] == woken.id().to_string();
        let woken = value["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .find(of_woken)
            .unwrap();
        assert_eq!(
            woken["last_wake"],
            serde_json::json!({ "cause": "task", "id": null })
        );
    });
}

#[test]
fn a_wake_names_the_task_that_caused_it() {
    runtime().block_on(async {
        let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
        let woken = spawn({
            let waker = Rc::clone(&waker);
            async move {
                *waker.borrow_mut() = Some(my_waker().await);
                pending::<()>().await;
            }
        });
        settle().await;
        let waker = waker.take().unwrap();
        let wakes = task::Builder::new().name("waker");
        let wakes = wakes.spawn(async move {
            waker.wake();
            pending::<()>().await;
        });
        let wakes = wakes.unwrap();
        settle().await;
        let text = format!("{:#}", dump());
        let end = format!("last woken by task {} \"waker\"", wakes.id());
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("task {}", woken.id())));
        assert!(line.unwrap().ends_with(&end), "{text}");
    });
}

#[test]
fn the_root_has_a_wait_of_its_own() {
    let runtime = paused();
    let seen = Rc::new(RefCell::new(None));
    let task = runtime.spawn({
        let seen = Rc::clone(&seen);
        async move {
            sleep(secs(7)).await;
            *seen.borrow_mut() = Some(dump());
        }
    });
    let id = task.id();
    let line = line!() + 1;
    runtime.block_on(async { task.await.unwrap() });
    let dump = seen.take().unwrap();
    let root = dump.root.as_ref().unwrap();
    assert_eq!(root.state, TaskState::Waiting);
    assert_eq!(
        (root.spawned_at.file(), root.spawned_at.line()),
        (file!(), line)
    );
    let waiting = root.waiting.unwrap();
    assert_eq!(
        (waiting.operation, waiting.elapsed),
        ("JoinHandle", secs(7))
    );
    assert_eq!(waiting.location.line(), line);
    assert_eq!(root.waits_for, [WaitTarget::Task(id)]);
    assert_eq!(dump.loop_state, LoopState::Polling(id));
    json(&dump);
    // Each `block_on` has a root future of its own.
    let polls = runtime.block_on(async { wakeful::dump().root.unwrap().polls });
    assert_eq!(polls, 1);
}

#[test]
fn waits_for_a_list_a_closure_and_no_timer_are_named() {
    runtime().block_on(async {
        let shutdown = wakeful::Shutdown::new();
        let list = spawn(async move { shutdown.cancelled().await });
        let (release, released) = mpsc::channel::<()>();
        let closure = spawn_blocking(move || released.recv().is_ok());
        let line = line!() - 1;
        let never = spawn(sleep(Duration::MAX));
        settle().await;
        assert_eq!(info(list.id()).waits_for, [WaitTarget::List]);
        let waits = info(closure.id());
        assert_eq!(waits.waits_for, [WaitTarget::Closure]);
        let waiting = waits.waiting.unwrap();
        assert_eq!(
            (waiting.operation, waiting.location.line()),
            ("spawn_blocking", line)
        );
        assert_eq!(info(never.id()).waits_for, [WaitTarget::Timer(None)]);
        let dump = dump();
        assert_eq!((dump.closures.waiting, dump.closures.threads), (1, 1));
        assert_eq!(dump.timers[0].due, None);
        let text = dump.to_string();
        assert!(text.contains(", 1 blocking closure, "), "{text}");
        assert!(text.contains("(timer that is never due)"), "{text}");
        json(&dump);
        drop(release);
        closure.await.unwrap();
    });
}

#[test]
fn an_operation_that_was_dropped_after_it_was_recorded_is_gone() {
    paused().block_on(async {
        let (here, _there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let reads = spawn(async move {
            drop(poll_once(&mut pin!(fd.readable())).await);
            pending::<()>().await;
        });
        let sleeps = spawn(async {
            assert!(poll_once(&mut pin!(sleep(secs(5)))).await.is_pending());
            pending::<()>().await;
        });
        let other = spawn(pending::<()>());
        let joins = spawn(async move {
            let mut other = other;
            drop(poll_once(&mut other).await);
            drop(other);
            pending::<()>().await;
        });
        settle().await;
        for id in [reads.id(), sleeps.id()] {
            let info = info(id);
            assert_eq!(info.waiting.unwrap().on, WaitTarget::Gone);
            assert!(info.waits_for.is_empty(), "{info}");
        }
        // The task exists, so its end could still be awaited elsewhere. // ok: elsewhere
        assert!(info(joins.id()).waiting.is_some());
        let text = dump().to_string();
        assert!(text.contains(" (gone)"), "{text}");
        json(&dump());
    });
}

#[test]
fn a_wait_for_a_signal_has_its_number() {
    alone(|| {
        runtime().block_on(async {
            let mut listener = signal(SignalKind::user_defined1()).unwrap();
            let task = spawn(async move { listener.recv().await });
            settle().await;
            let number = SignalKind::user_defined1().as_raw_value();
            assert_eq!(
                info(task.id()).waits_for,
                [WaitTarget::Signal(Some(number))]
            );
            let dump = dump();
            assert_eq!(dump.sources[0].kind, Some(SourceKind::Signals));
            assert_eq!(dump.sources[0].readers, [task.id()]);
            json(&dump);
        });
    });
}

#[test]
fn an_operation_with_an_external_waker_is_counted_and_blamed_on_no_task() {
    paused().block_on(async {
        let (here, _there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let wakes = Wakes::new();
        let waker = wakes.waker();
        let mut cx = Context::from_waker(&waker);
        assert!(fd.poll_read_ready(&mut cx).is_pending());
        let mut timer = pin!(sleep(secs(3)));
        assert!(timer.as_mut().poll(&mut cx).is_pending());
        let dump = dump();
        assert_eq!(dump.sources[0].external, 1);
        assert_eq!(dump.timers[0].task, None);
        // The root has polled both, so the last one is its recorded wait.
        let root = dump.root.as_ref().unwrap();
        assert_eq!(root.waits_for, [WaitTarget::Timer(Some(secs(3)))]);
        let text = dump.to_string();
        assert!(
            text.ends_with("\n2 operations wait with external wakers"),
            "{text}"
        );
        json(&dump);
    });
}

#[test]
fn a_waker_that_a_task_left_behind_is_no_wait() {
    runtime().block_on(async {
        let (here, _there) = pair();
        let fd = Rc::new(AsyncFd::new(here).unwrap());
        let polls = spawn({
            let fd = Rc::clone(&fd);
            poll_fn(move |cx| {
                assert!(fd.poll_read_ready(cx).is_pending());
                Poll::Ready(())
            })
        });
        polls.await.unwrap();
        let dump = dump();
        let source = &dump.sources[0];
        assert!(source.readers.is_empty());
        assert_eq!(source.external, 0);
    });
}

// --- sources ----------------------------------------------------------------------------------------

#[test]
fn sources_have_kind_addresses_readiness_and_waiters() {
    runtime().block_on(async {
        let (stream, peer) = tcp_pair().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let udp = UdpSocket::bind("[::1]:0").await.unwrap();
        let (unix, _other) = UnixStream::pair().unwrap();
        let addresses = [
            stream.local_addr().unwrap().to_string(),
            listener.local_addr().unwrap().to_string(),
            udp.local_addr().unwrap().to_string(),
        ];
        let [tcp, listens, datagrams, local] = [
            stream.as_raw_fd(),
            listener.as_raw_fd(),
            udp.as_raw_fd(),
            unix.as_raw_fd(),
        ];
        let reader = spawn(async move { drop(stream.read(&mut [0; 8]).await) });
        let accepts = spawn(async move { drop(listener.accept().await) });
        settle().await;
        let dump = dump();
        let source = |fd| dump.source(fd).unwrap();
        let kinds = [tcp, listens, datagrams, local].map(|fd| source(fd).kind.unwrap());
        let expected = [
            SourceKind::TcpStream,
            SourceKind::TcpListener,
            SourceKind::UdpSocket,
            SourceKind::UnixStream,
        ];
        assert_eq!(kinds, expected);
        let locals = [tcp, listens, datagrams].map(|fd| source(fd).local.clone().unwrap());
        assert_eq!(locals, addresses);
        let there = peer.local_addr().unwrap().to_string();
        assert_eq!(source(tcp).peer.as_deref(), Some(&*there));
        assert_eq!(source(listens).peer, None);
        assert_eq!(source(tcp).readers, [reader.id()]);
        assert!(source(tcp).writers.is_empty() && source(tcp).ready.is_writable());
        assert_eq!(source(listens).readers, [accepts.id()]);
        let text = dump.to_string();
        let shown = format!("(fd {tcp}, TCP stream {}, peer {there})", addresses[0]);
        assert!(text.contains(&shown), "{text}");
        json(&dump);
    });
}

#[test]
fn control_bytes_in_the_address_of_a_socket_are_escaped() {
    runtime().block_on(async {
        let directory = TempDir::new();
        let path = directory.join("a\x1b[2J\n\u{e9}");
        let listener = UnixListener::bind(&path).unwrap();
        let _stream = UnixStream::connect(&path).await.unwrap();
        let dump = dump();
        let local = dump
            .source(listener.as_raw_fd())
            .unwrap()
            .local
            .clone()
            .unwrap();
        assert!(local.ends_with("a\\x1b[2J\\n\\xc3\\xa9"), "{local}");
        let raw = format!("{dump:#}{}", dump.to_json());
        let controls: Vec<char> = raw
            .chars()
            .filter(|c| c.is_control() && *c != '\n')
            .collect();
        assert!(controls.is_empty() && raw.is_ascii(), "{raw}");
        json(&dump);
    });
}

#[test]
fn the_kernel_is_asked_about_1_000_sources_unless_all_are_wanted() {
    runtime().block_on(async {
        let (here, _there) = pair();
        let here = OwnedFd::from(here);
        let sources: Vec<_> = (0..1001)
            .map(|_| AsyncFd::new(here.try_clone().unwrap()).unwrap())
            .collect();
        let asked = |dump: &Dump| dump.sources.iter().filter(|s| s.kind.is_some()).count();
        let limited = dump();
        assert_eq!((limited.sources.len(), asked(&limited)), (1001, 1000));
        assert_eq!(asked(&dump_with(Detail::All)), 1001);
        assert_eq!(asked(&dump_with(Detail::Limited)), 1000);
        json(&limited);
        drop(sources);
    });
}

// --- who dumps, and when ----------------------------------------------------------------------------

#[test]
fn a_dump_polls_nothing_and_wakes_nothing() {
    runtime().block_on(async {
        let (here, mut there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let reads = spawn(async move {
            let read = async { drop(fd.readable().await) };
            or(read, sleep(secs(3600))).await;
        });
        let _joins = spawn(pending::<()>());
        settle().await;
        let before = wakeful::metrics();
        let first = dump();
        for _ in 0..10 {
            let text = format!("{first}{first:#}");
            assert!(!text.is_empty());
            json(&dump());
        }
        let after = wakeful::metrics();
        assert_eq!((before.polls, before.wakes()), (after.polls, after.wakes()));
        assert_eq!((before.turns, before.waiting), (after.turns, after.waiting));
        assert_eq!(before.timers_armed, after.timers_armed);
        assert_eq!(before.wakes_stale, after.wakes_stale);
        // The waits are what they were.
        there.write_all(b"x").unwrap();
        reads.await.unwrap();
    });
}

#[test]
fn a_dump_outside_of_block_on_has_no_root() {
    let runtime = runtime();
    let task = runtime.spawn(pending::<()>());
    let dump = runtime.dump();
    assert_eq!(dump.loop_state, LoopState::Stopped);
    assert!(dump.root.is_none());
    assert_eq!(dump.task(task.id()).unwrap().state, TaskState::Scheduled);
    let text = dump.to_string();
    assert!(
        text.contains(", not running: 1 task (1 in the run queue), 0 sources"),
        "{text}"
    );
    assert_eq!(json(&dump)["root"], Value::Null);
    // Another runtime's `block_on` is not this one's.
    let other = Runtime::new().unwrap();
    let inside = other.block_on(async { runtime.dump() });
    assert!(inside.root.is_none() && inside.loop_state == LoopState::Stopped);
}

#[test]
fn another_thread_gets_a_dump_by_a_handle_and_an_error_after_the_end() {
    let runtime = runtime();
    let handle = runtime.handle().clone();
    let (here, _there) = pair();
    let (send, received) = mpsc::channel();
    let watch = thread::spawn(move || {
        let dump = handle.dump().wait().unwrap();
        send.send(()).unwrap();
        (dump, handle)
    });
    let waits = runtime.spawn(async { sleep(secs(3600)).await });
    runtime.block_on(async {
        let fd = AsyncFd::new(here).unwrap();
        let ends = spawn_blocking(move || received.recv().unwrap());
        or(async { ends.await.unwrap() }, async {
            drop(fd.readable().await)
        })
        .await;
    });
    let (dump, handle) = watch.join().unwrap();
    assert_eq!(dump.loop_state, LoopState::BetweenPolls);
    assert!(dump.task(waits.id()).is_some());
    let is_there = |task: &TaskInfo| task.spawned_at.file() == file!();
    assert!(
        dump.tasks.iter().all(is_there),
        "no task of the dump itself: {dump:#}"
    );
    assert!(dump.threads.len() > 1);
    json(&dump);
    drop(runtime);
    assert!(handle.dump().wait().unwrap_err().is_cancelled());
}

#[test]
fn a_message_that_was_not_handled_yet_is_counted() {
    runtime().block_on(async {
        let waker = my_waker().await;
        thread::spawn(move || waker.wake()).join().unwrap();
        let dump = dump();
        assert_eq!(dump.messages, 1);
        assert!(dump.to_string().contains(", 1 message, "), "{dump}");
    });
}

#[test]
fn a_dump_in_the_drop_of_a_task_at_the_end_of_its_runtime_is_possible() {
    struct Dumps(mpsc::Sender<usize>);
    impl Drop for Dumps {
        fn drop(&mut self) {
            self.0.send(dump().tasks.len()).unwrap();
        }
    }
    let (send, received) = mpsc::channel();
    let runtime = runtime();
    let dumps = Dumps(send);
    runtime.spawn(async move {
        let _dumps = dumps;
        poll_fn(|_| Poll::<()>::Pending).await;
    });
    runtime.spawn(pending::<()>());
    runtime.block_on(settle());
    drop(runtime);
    assert_eq!(
        received.recv().unwrap(),
        0,
        "its row is free before its future is dropped"
    );
}

#[test]
fn a_connected_client_is_shown_with_its_address() {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        for _ in 0..50 {
            clients.push(TcpStream::connect(address).await.unwrap());
            let (stream, _) = listener.accept().await.unwrap();
            drop(spawn(async move { drop(stream.read(&mut [0; 8]).await) }));
        }
        settle().await;
        let dump = dump();
        let text = dump.to_string();
        let line = text
            .lines()
            .find(|line| line.starts_with("50 tasks: "))
            .unwrap();
        let peer = clients[0].local_addr().unwrap();
        assert!(
            line.contains(&format!(", TCP stream {address}, peer {peer})")),
            "{line}"
        );
        json(&dump);
    });
}
