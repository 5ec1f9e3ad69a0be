//! Deadlocks, lost wakers and cycles of joins: which tasks nothing can wake, what the runtime says about
//! them, and cases that just miss being one. The child with one thread is `src/bin/deadlock-child.rs`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;

use futures_lite::future::or;
use rustix::process::{Pid, Signal, kill_process};
use wakeful::dump::{Dump, Verdict};
use wakeful::io::{AsyncFd, Ready};
use wakeful::runtime::{Builder, Handle, OnDeadlock, Runtime};
use wakeful::task::{self, Id, JoinHandle, TaskState, WaitTarget, spawn_blocking};
use wakeful::time::{Duration, sleep};
use wakeful::{Shutdown, dump, spawn};
use wakeful_tests::trace::{Hooks, my_waker, pair, poll_with, secs, settle};

// --- in a process with one thread -------------------------------------------------------------------

fn start(name: &str) -> Child {
    spawn_child(Command::new(env!("CARGO_BIN_EXE_deadlock-child")).arg(name))
}

/// As [`start`], for a child that gets no signal. It is killed after a minute, so a deadlock that is not
/// found fails the test.
fn start_limited(name: &str) -> Child {
    let mut command = Command::new("timeout");
    command.args(["60", env!("CARGO_BIN_EXE_deadlock-child"), name]);
    spawn_child(&mut command)
}

fn spawn_child(command: &mut Command) -> Child {
    let command = command.env("RUST_BACKTRACE", "0").stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

/// Returns what a child writes to stderr until it ends, and asserts that `block_on` panicked.
#[track_caller]
fn panic_of_child(name: &str) -> String {
    let Output { status, stderr, .. } = start_limited(name).wait_with_output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(101), "{name}: {text}");
    text
}

#[track_caller]
fn assert_ended(child: Child, name: &str) {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && text.ends_with("ended\n"),
        "{name}: {text}{error}"
    );
    assert_eq!(error, "", "{name}");
}

#[test]
fn a_deadlock_ends_with_a_panic_that_names_the_tasks_and_their_lines() {
    let text = panic_of_child("pending");
    for part in [
        "a deadlock of the Wakeful runtime\nruntime 1 after ",
        "between polls: 1 task, 0 sources, 0 timers, 1 thread\nDEADLOCK: no task can run, and no ",
        "\nroot: block_on at tests/src/bin/deadlock-child.rs:",
        " on JoinHandle at tests/src/bin/deadlock-child.rs:",
        " (task 1.0 \"cache\"); 1 poll",
        "\ntask 1.0 \"cache\": spawned at tests/src/bin/deadlock-child.rs:",
        ", waits on something outside of the runtime; 1 poll",
    ] {
        assert!(text.contains(part), "{part:?}: {text}");
    }
}

#[test]
fn a_deadlock_is_found_beside_what_cannot_end_it() {
    for name in [
        "cycle",
        "idle-listener",
        "canceled-accept",
        "ended-read",
        "handle-in-a-task",
        "idle-pool",
        "paused",
        "waker-in-a-task",
        "watched",
        "after-a-watched-runtime",
        "during-a-stall-hook",
    ] {
        let text = panic_of_child(name);
        assert!(
            text.contains("a deadlock of the Wakeful runtime"),
            "{name}: {text}"
        );
        assert!(text.contains("\nDEADLOCK: "), "{name}: {text}");
    }
}

#[test]
fn after_a_deadlock_the_next_block_on_runs() {
    let Output { status, stdout, .. } = start_limited("twice").wait_with_output().unwrap();
    assert_eq!(status.code(), Some(101));
    let text = String::from_utf8(stdout).unwrap();
    assert_eq!(text, "first: a deadlock of the Wakeful runtime\n");
}

#[test]
fn what_a_thread_a_timer_or_a_closure_will_end_is_no_deadlock() {
    for name in [
        "thread",
        "threads-that-end",
        "stall-hook",
        "dropped-stall-hook",
        "many-idle-threads",
        "timer",
        "paused-timer",
        "closure",
        "probable-and-woken",
    ] {
        assert_ended(start_limited(name), name);
    }
}

#[test]
fn what_another_process_will_end_is_no_deadlock() {
    let first_line = |child: &mut Child| {
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.as_mut().unwrap());
        stdout.read_line(&mut line).unwrap();
        line.trim().to_owned()
    };
    let mut child = start("accept");
    let address = first_line(&mut child);
    let client = TcpStream::connect(&*address).unwrap();
    assert_ended(child, "accept");
    drop(client);
    let mut child = start("signal");
    assert_eq!(first_line(&mut child), "ready");
    kill_process(Pid::from_child(&child), Signal::USR1).unwrap();
    assert_ended(child, "signal");
}

/// Waits until a process sleeps and has begun to more than `before` times. Returns how many times it has.
fn wait_until_asleep(child: &Child, before: u64) -> u64 {
    let path = format!("/proc/{}/status", child.id());
    loop {
        let status = std::fs::read_to_string(&path).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().to_owned()
        };
        let sleeps = field("voluntary_ctxt_switches:").parse().unwrap();
        if field("State:").starts_with('S') && sleeps > before {
            return sleeps;
        }
        thread::yield_now();
    }
}

#[test]
fn a_deadlock_is_reported_once_and_the_runtime_waits_if_that_is_wanted() {
    let mut child = start("report");
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, "wakeful: a deadlock of the Wakeful runtime\n");
    while !line.starts_with("task 1.0") {
        line.clear();
        stderr.read_line(&mut line).unwrap();
    }
    // A signal ends the wait early, and nothing is reported again.
    let sleeps = wait_until_asleep(&child, 0);
    kill_process(Pid::from_child(&child), Signal::STOP).unwrap();
    kill_process(Pid::from_child(&child), Signal::CONT).unwrap();
    wait_until_asleep(&child, sleeps);
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
    line.clear();
    stderr.read_to_string(&mut line).unwrap();
    assert_eq!(line, "");
}

#[test]
fn a_probable_deadlock_ends_with_the_number_of_threads_wakers_and_handles() {
    let text = panic_of_child("probable");
    for part in [
        "probably a deadlock of the Wakeful runtime\n",
        "\nPROBABLE DEADLOCK: only another thread can wake a task: \
         1 other thread, 0 clones of wakers, 1 handle\n",
        "; NOTHING CAN WAKE IT; 1 poll",
    ] {
        assert!(text.contains(part), "{part:?}: {text}");
    }
}

#[wakeful::test(deadlock_after = Duration::from_millis(30))]
#[should_panic(expected = "probably a deadlock of the Wakeful runtime")]
async fn a_test_in_which_nothing_can_wake_a_task_fails() {
    spawn(pending::<()>()).await.unwrap();
}

#[test]
fn a_deadlock_is_ignored_if_that_is_wanted() {
    let builder = Builder::new().on_deadlock(OnDeadlock::Ignore);
    let runtime = builder.deadlock_after(Duration::ZERO).build().unwrap();
    runtime.block_on(async {
        let waker = my_waker().await;
        let thread = thread::spawn(move || waker.wake());
        let mut polls = 0;
        poll_fn(|_| {
            polls += 1;
            if polls == 2 {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
        thread.join().unwrap();
    });
}

// --- verdicts of a dump -----------------------------------------------------------------------------

fn counting() -> Runtime {
    Builder::new().count_wakers(true).build().unwrap()
}

/// Returns the verdicts of a dump that is made while a task waits, and the root future for the task.
fn verdicts_while_waiting(waits: impl Future<Output = ()> + 'static) -> Vec<Verdict> {
    let runtime = counting();
    let handle = runtime.handle().clone();
    let (begin, begun) = std::sync::mpsc::channel();
    let task = runtime.spawn(async move {
        begin.send(()).unwrap();
        drop(begin);
        waits.await;
    });
    let abort = task.abort_handle();
    let watch = thread::spawn(move || {
        begun.recv().unwrap();
        let dump = handle.dump().wait().unwrap();
        abort.abort();
        dump.verdicts
    });
    assert!(runtime.block_on(task).unwrap_err().is_cancelled());
    watch.join().unwrap()
}

/// Returns the verdicts about single tasks.
fn of_tasks(dump: &Dump) -> Vec<&Verdict> {
    let is_of_tasks =
        |verdict: &&Verdict| matches!(verdict, Verdict::LostWaker(_) | Verdict::Cycle(_));
    dump.verdicts.iter().filter(is_of_tasks).collect()
}

/// Returns the number of clones of a task's waker.
fn clones(id: Id) -> usize {
    dump().task(id).unwrap().waker_clones.unwrap()
}

#[test]
fn clones_of_wakers_are_counted_on_any_thread() {
    counting().block_on(async {
        let stored: Rc<RefCell<Vec<Waker>>> = Rc::default();
        let task = spawn({
            let stored = Rc::clone(&stored);
            poll_fn(move |cx| {
                if stored.borrow().is_empty() {
                    stored
                        .borrow_mut()
                        .extend([cx.waker().clone(), cx.waker().clone()]);
                }
                Poll::<()>::Pending
            })
        });
        settle().await;
        assert_eq!(clones(task.id()), 2);
        let more = stored.borrow()[0].clone();
        assert_eq!(clones(task.id()), 3);
        more.wake_by_ref();
        assert_eq!(clones(task.id()), 3);
        more.wake();
        assert_eq!(clones(task.id()), 2);
        let on_a_thread = stored.borrow_mut().pop().unwrap();
        thread::spawn(move || drop(on_a_thread.clone()))
            .join()
            .unwrap();
        assert_eq!(clones(task.id()), 1);
        let last = stored.borrow_mut().pop().unwrap();
        thread::spawn(move || last.wake()).join().unwrap();
        assert_eq!(clones(task.id()), 0);
        task.abort();
    });
}

#[test]
fn wakers_in_the_tables_of_the_runtime_are_not_counted() {
    counting().block_on(async {
        let (here, _there) = pair();
        let fd = Rc::new(AsyncFd::new(here).unwrap());
        let reads = spawn({
            let fd = Rc::clone(&fd);
            async move { drop(fd.readable().await) }
        });
        let sleeps = spawn(async {
            let mut timer = std::pin::pin!(sleep(secs(3600)));
            assert!(
                futures_lite::future::poll_once(timer.as_mut())
                    .await
                    .is_none()
            );
            timer.await;
        });
        let joins = spawn(spawn(pending::<()>()));
        let shutdown = Shutdown::new();
        let listed = spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.cancelled().await }
        });
        settle().await;
        let counts = [reads.id(), sleeps.id(), joins.id()].map(clones);
        assert_eq!(counts, [0, 0, 0]);
        assert_eq!(
            clones(listed.id()),
            1,
            "a list outside of the runtime's tables"
        );
        shutdown.cancel();
        settle().await;
        assert_eq!(clones(listed.id()), 0);
    });
}

#[test]
fn wakers_are_not_counted_unless_that_is_wanted() {
    wakeful::block_on(async {
        let task = spawn(pending::<()>());
        settle().await;
        let dump = dump();
        assert_eq!(dump.task(task.id()).unwrap().waker_clones, None);
        assert!(of_tasks(&dump).is_empty());
    });
}

#[test]
fn a_counted_waker_works_like_any_other() {
    counting().block_on(async {
        let (here, there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let both = spawn(async move {
            // A read with a timeout, polled again with the same waker.
            let ready = wakeful::time::timeout(secs(3600), fd.readable());
            ready.await.is_ok()
        });
        let closure = spawn_blocking(|| 42);
        settle().await;
        std::io::Write::write_all(&mut &there, b"x").unwrap();
        assert!(both.await.unwrap());
        assert_eq!(closure.await.unwrap(), 42);
        let deferred = spawn(async { task::yield_now().await });
        deferred.await.unwrap();
        let waker = my_waker().await;
        assert!(waker.will_wake(&waker.clone()));
        assert_eq!(wakeful::metrics().timers_armed, 0);
    });
}

#[test]
fn a_task_whose_waker_was_dropped_unwoken_is_lost() {
    counting().block_on(async {
        let stored: Rc<RefCell<Option<Waker>>> = Rc::default();
        let task = task::Builder::new().name("forgotten").spawn({
            let stored = Rc::clone(&stored);
            async move {
                *stored.borrow_mut() = Some(my_waker().await);
                pending::<()>().await;
            }
        });
        let id = task.unwrap().id();
        settle().await;
        // Not yet: the waker exists.
        assert_eq!(of_tasks(&dump()).len(), 0);
        drop(stored.take());
        let dump = dump();
        assert_eq!(of_tasks(&dump), [&Verdict::LostWaker(id)]);
        let text = dump.to_string();
        let line = "\nLOST WAKER: registered nowhere, and no clone of the waker exists: \
                    task 1.0 \"forgotten\"\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("; NOTHING CAN WAKE IT; 1 poll"), "{text}");
        assert!(
            dump.to_json()
                .contains("{\"verdict\":\"lost_waker\",\"tasks\":[\"1.0\"]}")
        );
    });
}

#[test]
fn the_text_about_lost_tasks_does_not_grow_with_their_number() {
    counting().block_on(async {
        for _ in 0..998 {
            drop(spawn(pending::<()>()));
        }
        settle().await;
        let dump = dump();
        assert_eq!(of_tasks(&dump).len(), 998);
        let text = dump.to_string();
        assert!(text.contains(", task 10.0 and 988 more\n"), "{text}");
        assert!(text.contains("\n998 tasks: "), "{text}");
        assert!(
            text.contains("; NOTHING CAN WAKE THEM; first: task 1.0"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 4, "{text}");
    });
}

#[test]
fn a_task_that_the_runtime_or_a_message_can_wake_is_not_lost() {
    counting().block_on(async {
        let (here, _there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let _waiting: [JoinHandle<()>; 3] = [
            spawn(async move { drop(fd.readable().await) }),
            spawn(async { sleep(secs(3600)).await }),
            spawn(async { or(sleep(secs(60)), pending::<()>()).await }),
        ];
        // Woken by a message that the loop has not handled yet, and no waker is left.
        let stored: Rc<RefCell<Option<Waker>>> = Rc::default();
        let woken = spawn({
            let stored = Rc::clone(&stored);
            async move {
                *stored.borrow_mut() = Some(my_waker().await);
                pending::<()>().await;
            }
        });
        settle().await;
        let waker = stored.take().unwrap();
        thread::spawn(move || waker.wake()).join().unwrap();
        let dump = dump();
        assert_eq!(dump.messages, 1);
        assert_eq!(dump.task(woken.id()).unwrap().waker_clones, Some(0));
        assert_eq!(of_tasks(&dump).len(), 0, "{dump}");
    });
}

/// Returns a waiting task, and its only waker.
async fn task_with_one_waker() -> (JoinHandle<()>, Waker) {
    let (send, sent) = std::sync::mpsc::channel();
    let task = spawn(async move {
        send.send(my_waker().await).unwrap();
        pending::<()>().await;
    });
    settle().await;
    (task, sent.recv().unwrap())
}

#[test]
fn a_dump_for_another_thread_is_made_after_the_messages_that_came_with_its_request() {
    counting().block_on(async {
        let (task, waker) = task_with_one_waker().await;
        let handle = Handle::current();
        let request = move || {
            let dumps = [handle.dump(), handle.dump()];
            waker.wake();
            dumps
        };
        for dump in thread::spawn(request).join().unwrap() {
            let dump = dump.await.unwrap();
            let info = dump.task(task.id()).unwrap();
            assert_eq!(info.state, TaskState::Scheduled, "{dump}");
            assert_eq!((dump.messages, of_tasks(&dump).len()), (0, 0), "{dump}");
        }
        task.abort();
    });
}

#[test]
fn a_dump_by_user_code_between_two_polls_has_no_verdicts() {
    // A closure of another thread, beside the wake of a task that no other waker can wake.
    counting().block_on(async {
        let (task, waker) = task_with_one_waker().await;
        let handle = Handle::current();
        let request = move || {
            let made = handle.spawn(|| std::future::ready(dump()));
            waker.wake();
            made
        };
        let dump = thread::spawn(request).join().unwrap().await.unwrap();
        assert_eq!((dump.messages, dump.verdicts.len()), (1, 0), "{dump}");
        task.abort();
    });
    // An external waker, that of a timer.
    let made = Arc::new(Mutex::new(None));
    let makes = Arc::clone(&made);
    counting().block_on(async {
        let mut root = Some(my_waker().await);
        let mut timer = Box::pin(sleep(Duration::from_millis(1)));
        let root = Mutex::new(root.take());
        let waker = Hooks::new().on_wake(move || {
            *makes.lock().unwrap() = Some(dump());
            root.lock().unwrap().take().unwrap().wake();
        });
        assert!(poll_with(&mut timer, &waker.waker()).is_pending());
        poll_fn(|_| match made.lock().unwrap().is_some() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    });
    let dump = made.lock().unwrap().take().unwrap();
    assert_eq!(dump.verdicts, []);
}

#[test]
fn a_dump_by_a_waker_finds_those_that_are_woken_together_with_it() {
    let made = Arc::new(Mutex::new(None));
    let makes = Arc::clone(&made);
    counting().block_on(async {
        let (here, _there) = pair();
        let fd = Rc::new(AsyncFd::new(here).unwrap());
        let waits = || {
            let fd = Rc::clone(&fd);
            spawn(async move { drop(fd.readable().await.unwrap()) })
        };
        // The external waker is stored between those of two tasks.
        let before = waits();
        settle().await;
        let waker = Hooks::new().on_wake(move || *makes.lock().unwrap() = Some(dump()));
        let mut external = fd.readable();
        assert!(poll_with(&mut external, &waker.waker()).is_pending());
        let after = waits();
        settle().await;
        fd.assume_ready(Ready::READABLE);
        let dump = made.lock().unwrap().take().unwrap();
        for task in [before, after] {
            let info = dump.task(task.id()).unwrap();
            assert_eq!(info.state, TaskState::Scheduled, "{dump}");
            task.await.unwrap();
        }
        assert_eq!(of_tasks(&dump).len(), 0, "{dump}");
    });
}

/// A place for the handle of a task that awaits the owner of the place.
type Slot = Rc<RefCell<Option<JoinHandle<()>>>>;

/// Spawns tasks of which each awaits the next and the last one awaits the first, beside `also`.
async fn ring<F: Future<Output = ()> + 'static>(tasks: usize, also: impl Fn() -> F) -> Vec<Id> {
    let slots: Vec<Slot> = (0..tasks).map(|_| Slot::default()).collect();
    let mut ids = Vec::new();
    for slot in &slots {
        let (slot, also) = (Rc::clone(slot), also());
        let task = spawn(async move {
            let next = async {
                let next = slot.take().unwrap();
                next.await.unwrap();
            };
            or(next, also).await;
        });
        ids.push(task.id());
        // The slot of the one before; for the first one, that of the last.
        let before = (ids.len() + tasks - 2) % tasks;
        *slots[before].borrow_mut() = Some(task);
    }
    settle().await;
    ids
}

#[test]
fn tasks_that_await_one_another_are_a_cycle() {
    counting().block_on(async {
        for number in [2, 3] {
            let ids = ring(number, pending).await;
            // One that awaits a member is no member.
            let dump = dump();
            let found: Vec<_> = of_tasks(&dump);
            assert_eq!(found.last(), Some(&&Verdict::Cycle(ids.clone())), "{dump}");
        }
        let text = dump().to_string();
        assert!(
            text.contains("\nCYCLE: each awaits the next: task 1.0, task 2.0\n"),
            "{text}"
        );
        assert!(text.contains("\nCYCLE: each awaits the next: task 3.0, task 4.0, task 5.0\n"));
        let json = dump().to_json();
        assert!(json.contains("{\"verdict\":\"cycle\",\"tasks\":[\"1.0\",\"2.0\"]}"));
    });
}

#[test]
fn tasks_that_await_one_another_and_something_else_are_no_cycle() {
    counting().block_on(async {
        let ids = ring(2, || sleep(secs(3600))).await;
        let info = dump().task(ids[0]).unwrap().clone();
        assert!(info.waits_for.contains(&WaitTarget::Task(ids[1])));
        assert_eq!(of_tasks(&dump()).len(), 0);
        // A waker that user code has could wake one.
        let stored: Rc<RefCell<Vec<Waker>>> = Rc::default();
        let also = || {
            let stored = Rc::clone(&stored);
            async move {
                let waker = my_waker().await;
                stored.borrow_mut().push(waker);
                pending::<()>().await;
            }
        };
        ring(2, also).await;
        assert_eq!(of_tasks(&dump()).len(), 0);
        stored.borrow_mut().clear();
        assert_eq!(of_tasks(&dump()).len(), 1);
    });
}

#[test]
fn a_task_that_awaits_one_that_can_run_is_in_no_cycle() {
    counting().block_on(async {
        let slow = spawn(async { sleep(secs(3600)).await });
        let _joins = spawn(spawn(slow));
        settle().await;
        assert_eq!(of_tasks(&dump()).len(), 0);
    });
}

#[test]
fn waiting_for_sockets_only_is_not_a_deadlock_and_for_nothing_is_probably_one() {
    let (here, _there) = pair();
    let waits = async move {
        let fd = AsyncFd::new(here).unwrap();
        drop(fd.readable().await);
    };
    let verdicts = verdicts_while_waiting(waits);
    assert_eq!(verdicts, [Verdict::OnlyFromOutside]);
    let verdicts = verdicts_while_waiting(pending());
    let [
        Verdict::ProbableDeadlock {
            threads,
            wakers,
            handles,
        },
        ..,
    ] = verdicts[..]
    else {
        panic!("{verdicts:?}");
    };
    assert!(threads >= 1 && wakers == Some(0) && handles >= 1);
    for far in [secs(3600), Duration::MAX] {
        let verdicts = verdicts_while_waiting(async move { sleep(far).await });
        assert_eq!(verdicts, [Verdict::OnlyFromOutside; 0]);
    }
}

// --- the costs --------------------------------------------------------------------------------------

/// Returns the instructions that a child executes, counted by callgrind.
fn instructions(name: &str, size: usize) -> u64 {
    let mut command = Command::new("valgrind");
    let file = std::env::temp_dir().join(format!("callgrind-{}-{name}-{size}", std::process::id()));
    let out = format!("--callgrind-out-file={}", file.display());
    command.args([
        "--tool=callgrind",
        &out,
        env!("CARGO_BIN_EXE_deadlock-child"),
        name,
    ]);
    let output = command.arg(size.to_string()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{name}: {text}");
    std::fs::remove_file(file).unwrap();
    let count = text.split("Collected :").nth(1).unwrap();
    count.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn the_cost_of_a_dump_grows_no_faster_than_its_tasks_and_timers() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("SKIPPED: valgrind is not installed");
        return;
    }
    for name in ["dump-of-a-chain", "dump-of-timers"] {
        let [one, two, four] = [300, 600, 1200].map(|size| instructions(name, size));
        // The cost of twice as much: twice the cost in a linear dump, and four times in a quadratic one.
        let (first, second) = (two - one, four - two);
        assert!(second < 3 * first, "{name}: {one} {two} {four}");
    }
}

// --- the hook ---------------------------------------------------------------------------------------

#[test]
fn the_hook_for_lost_wakers_is_called_once_per_task() {
    let lost: Rc<RefCell<Vec<Id>>> = Rc::default();
    let hooked = Rc::clone(&lost);
    let spawned = Rc::new(Cell::new(0));
    let count = Rc::clone(&spawned);
    let runtime = Builder::new()
        .on_lost_waker(move |task| {
            hooked.borrow_mut().push(task.id);
            // The hook is user code, which can use the runtime, and panic.
            let count = Rc::clone(&count);
            drop(spawn(async move { count.set(count.get() + 1) }));
            assert!(task.name.is_none(), "panics for the second one");
        })
        .build()
        .unwrap();
    runtime.block_on(async {
        let first = spawn(pending::<()>());
        let second = task::Builder::new()
            .name("second")
            .spawn(pending::<()>())
            .unwrap();
        let waker = my_waker().await;
        // The hook is not called while there are messages, and a closure can be faster than the loop.
        for _ in 0..1_000 {
            if lost.borrow().len() == 2 {
                break;
            }
            let waker = waker.clone();
            let waits = spawn_blocking(move || drop(waker));
            waits.await.unwrap();
        }
        assert_eq!(*lost.borrow(), [first.id(), second.id()]);
        settle().await;
        assert_eq!(spawned.get(), 2);
        drop(waker);
    });
}
