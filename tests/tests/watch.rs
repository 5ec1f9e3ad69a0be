//! The watch thread: what it reports about a loop that does not go on, and when it reports nothing. Each poll that
//! blocks does so until the report has come. The children are `src/bin/watch-child.rs` and `src/bin/deadlock-child.rs`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write, pipe};
use std::panic::{Location, panic_any};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use wakeful::dump::LoopState;
use wakeful::runtime::{Builder, Handle, Runtime, Stall};
use wakeful::task::{self, JoinHandle};
use wakeful::{Shutdown, spawn};
use wakeful_tests::trace::{Hooks, poll_with, settle};

/// Long enough for a thread to begin to read, on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_millis(400);

/// The time after which a report that has not come fails a test.
const DEADLINE: Duration = Duration::from_secs(60);

/// Returns a watched runtime and its reports. Each report is followed by a byte for a read that blocks.
fn watched() -> (Runtime, PipeReader, Receiver<Stall>) {
    let (reader, writer) = limited_pipe();
    let (runtime, stalls) = watched_with(move || (&writer).write_all(b"x").unwrap());
    (runtime, reader, stalls)
}

/// Returns a pipe whose reads end after a minute, so that a missing report fails a test.
fn limited_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    let late = writer.try_clone().unwrap();
    thread::spawn(move || {
        thread::sleep(DEADLINE);
        // Fails if the test has ended.
        (&late).write_all(&[b'x'; 64]).ok();
    });
    (reader, writer)
}

/// As [`watched`], with another reaction to each report.
fn watched_with(reaction: impl FnMut() + Send + 'static) -> (Runtime, Receiver<Stall>) {
    let (send, stalls) = mpsc::channel();
    let reaction = std::cell::RefCell::new(reaction);
    let hook = move |stall: &Stall| {
        send.send(stall.clone()).unwrap();
        let mut reaction = reaction.borrow_mut();
        reaction();
    };
    let builder = Builder::new().watch(LIMIT).on_stall(hook);
    (builder.build().unwrap(), stalls)
}

/// Blocks the thread until the next report.
fn block(mut reader: &PipeReader) {
    reader.read_exact(&mut [0]).unwrap();
}

#[track_caller]
fn spawn_named(name: &str, future: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
    task::Builder::new().name(name).spawn(future).unwrap()
}

/// Returns all reports, after the end of their runtime and of its thread.
#[track_caller]
fn all(runtime: Runtime, stalls: &Receiver<Stall>) -> Vec<Stall> {
    drop(runtime);
    stalls.iter().collect()
}

#[track_caller]
fn one(runtime: Runtime, stalls: &Receiver<Stall>) -> Stall {
    let mut stalls = all(runtime, stalls);
    assert_eq!(stalls.len(), 1, "{stalls:?}");
    stalls.remove(0)
}

// --- what is reported -------------------------------------------------------------------------------

#[test]
fn a_poll_that_blocks_is_reported_with_its_task_its_system_call_and_the_tasks_behind_it() {
    let (runtime, reader, stalls) = watched();
    let line = line!() + 2;
    let id = runtime.block_on(async {
        let import = spawn_named("import", async move { block(&reader) });
        let id = import.id();
        let others: Vec<_> = (0..31).map(|_| spawn(async {})).collect();
        import.await.unwrap();
        for other in others {
            other.await.unwrap();
        }
        id
    });
    let stall = one(runtime, &stalls);
    assert_eq!(stall.loop_state, LoopState::Polling(id));
    assert_eq!(stall.name.as_deref(), Some("import"));
    assert_eq!(stall.spawned_at.unwrap().line(), line);
    assert_eq!(stall.thread.as_deref(), Some("sleeps in read"));
    assert_eq!(stall.waiting, 31);
    assert!(stall.lasted >= LIMIT, "{:?}", stall.lasted);
    let text = stall.to_string();
    let head = format!(
        "runtime {} has been polling task {id} \"import\" (",
        stall.runtime
    );
    assert!(text.starts_with(&head), "{text}");
    assert!(
        text.ends_with("; its thread sleeps in read; at least 31 tasks wait behind it"),
        "{text}"
    );
}

#[test]
fn a_poll_that_computes_is_reported_as_running() {
    let reported = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&reported);
    let (runtime, stalls) = watched_with(move || set.store(true, Ordering::Release));
    runtime.block_on(async {
        let computes = spawn(async move {
            let begun = Instant::now();
            while !reported.load(Ordering::Acquire) && begun.elapsed() < DEADLINE {
                std::hint::spin_loop();
            }
        });
        computes.await.unwrap();
    });
    let stall = one(runtime, &stalls);
    assert_eq!(stall.thread.as_deref(), Some("is running"));
    assert_eq!(stall.name, None);
}

#[test]
fn each_stall_is_reported_once() {
    let (runtime, reader, stalls) = watched();
    runtime.block_on(async move {
        let reader = Arc::new(reader);
        for name in ["first", "second"] {
            let reader = Arc::clone(&reader);
            spawn_named(name, async move { block(&reader) })
                .await
                .unwrap();
        }
    });
    let names: Vec<_> = all(runtime, &stalls)
        .into_iter()
        .map(|stall| stall.name.unwrap())
        .collect();
    assert_eq!(names, ["first", "second"]);
}

#[test]
fn a_root_future_that_blocks_is_reported_with_its_block_on() {
    let (runtime, reader, stalls) = watched();
    let here = Location::caller().line() + 1;
    runtime.block_on(async { block(&reader) });
    // The next one has a place of its own.
    runtime.block_on(async {
        settle().await;
        block(&reader);
    });
    let stalls = all(runtime, &stalls);
    let lines: Vec<_> = stalls
        .iter()
        .map(|stall| {
            assert_eq!(stall.loop_state, LoopState::PollingRoot);
            stall.spawned_at.unwrap().line() - here
        })
        .collect();
    assert_eq!(lines, [0, 2]);
}

#[test]
fn what_blocks_between_two_polls_is_no_task() {
    let (runtime, reader, stalls) = watched();
    runtime.block_on(async {
        // A closure of another thread.
        let (other, handle) = (reader.try_clone().unwrap(), Handle::current());
        let closure = thread::spawn(move || {
            handle.spawn(move || {
                block(&other);
                async {}
            })
        });
        closure.join().unwrap().await.unwrap();
        // The waker of a task that panics.
        let waker = Hooks::new().on_wake(move || block(&reader)).waker();
        let mut panics = spawn(async { panic!("for the test") });
        assert!(poll_with(&mut panics, &waker).is_pending());
        settle().await;
    });
    let stalls = all(runtime, &stalls);
    assert_eq!(stalls.len(), 2);
    for stall in stalls {
        assert_eq!(stall.loop_state, LoopState::BetweenPolls, "{stall}");
        assert_eq!((&stall.name, stall.spawned_at), (&None, None));
        assert_eq!(stall.thread.as_deref(), Some("sleeps in read"));
    }
}

#[test]
fn the_destructor_of_an_aborted_task_that_blocks_is_reported_with_the_task() {
    struct BlocksOnDrop(PipeReader);
    impl Drop for BlocksOnDrop {
        fn drop(&mut self) {
            block(&self.0);
        }
    }
    let (runtime, reader, stalls) = watched();
    runtime.block_on(async {
        let owns = BlocksOnDrop(reader);
        let aborted = spawn_named("aborted", async move {
            let _owns = owns;
            std::future::pending().await
        });
        settle().await;
        aborted.abort();
        aborted.await.unwrap_err();
    });
    assert_eq!(one(runtime, &stalls).name.as_deref(), Some("aborted"));
}

/// A payload of a panic that panics when it is dropped, with another one.
struct PanicsOnDrop(u32);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(PanicsOnDrop(self.0 - 1));
        }
    }
}

#[test]
fn a_hook_that_panics_is_called_again() {
    let (reader, writer) = limited_pipe();
    let panics = move || {
        (&writer).write_all(b"x").unwrap();
        panic_any(PanicsOnDrop(3));
    };
    let (runtime, stalls) = watched_with(panics);
    runtime.block_on(async {
        block(&reader);
        settle().await;
        block(&reader);
    });
    assert_eq!(all(runtime, &stalls).len(), 2);
}

// --- what is not reported ---------------------------------------------------------------------------

/// Blocks the loop of another thread that is watched with a longer limit, and returns after the report about it. A stall
/// that began before would have been reported.
fn wait_for_longer_than_the_limit() {
    let other = thread::spawn(|| {
        let (reader, writer) = limited_pipe();
        let hook = move |_: &Stall| (&writer).write_all(b"x").unwrap();
        let builder = Builder::new().watch(LIMIT * 3 / 2).on_stall(hook);
        builder.build().unwrap().block_on(async { block(&reader) });
    });
    other.join().unwrap();
}

#[test]
fn a_parked_loop_and_one_that_goes_on_are_not_reported() {
    let (runtime, stalls) = watched_with(|| {});
    let (parked, goes_on) = (Shutdown::new(), Shutdown::new());
    let requests = [parked.clone(), goes_on.clone()];
    let asks = thread::spawn(move || {
        for request in requests {
            wait_for_longer_than_the_limit();
            request.cancel();
        }
    });
    runtime.block_on(async {
        parked.cancelled().await;
        while !goes_on.is_cancelled() {
            task::yield_now().await;
        }
    });
    asks.join().unwrap();
    assert_eq!(all(runtime, &stalls).len(), 0);
}

#[test]
fn a_runtime_that_nothing_runs_on_is_not_reported() {
    let (runtime, stalls) = watched_with(|| {});
    wait_for_longer_than_the_limit();
    runtime.block_on(settle());
    wait_for_longer_than_the_limit();
    let root = || runtime.block_on(async { panic!("for the test") });
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(root)).unwrap_err();
    wait_for_longer_than_the_limit();
    assert_eq!(all(runtime, &stalls).len(), 0);
}

// --- other processes --------------------------------------------------------------------------------

struct Watched {
    child: Child,
    stdin: ChildStdin,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Watched {
    /// Starts a child, and returns when its loop begins to block.
    fn start(name: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watch-child"));
        let command = command.arg(name).env("RUST_BACKTRACE", "0");
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        BufReader::with_capacity(1, stdout)
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        let stdin = child.stdin.take().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Watched {
            child,
            stdin,
            stderr,
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Returns how often the watch thread has slept.
    fn looks(&self) -> u64 {
        let folder = format!("/proc/{}/task", self.child.id());
        let paths = fs::read_dir(folder).unwrap();
        let mut paths = paths.map(|entry| entry.unwrap().path());
        let is_watch = |path: &PathBuf| {
            fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "wakeful-watch")
        };
        let path = paths.find(is_watch).unwrap();
        let status = fs::read_to_string(path.join("status")).unwrap();
        let field = "voluntary_ctxt_switches:";
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.unwrap().trim().parse().unwrap()
    }

    fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line
    }

    /// Lets the child's poll end. Returns what it still writes to stderr.
    fn end(mut self) -> String {
        self.stdin.write_all(b"x").unwrap();
        let (mut rest, mut out) = (String::new(), String::new());
        self.stderr.read_to_string(&mut rest).unwrap();
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut out).unwrap();
        assert!(self.child.wait().unwrap().success(), "{rest}");
        assert_eq!(out, "ended\n");
        rest
    }
}

#[test]
fn without_a_hook_the_report_is_a_line_on_stderr() {
    let mut child = Watched::start("stuck");
    let line = child.next_line();
    let head = "wakeful: stuck: runtime 1 has been polling task 2.0 \"import\" (spawned at tests/src/bin/watch-child.rs:";
    assert!(line.starts_with(head), "{line}");
    assert!(line.ends_with("; its thread sleeps in read\n"), "{line}");
    assert_eq!(child.end(), "");
}

#[test]
fn a_process_that_was_stopped_is_not_reported() {
    let stopped = Watched::start("stuck");
    // The first look has found the poll, and the one that would report it has not come.
    let begun = stopped.looks();
    while stopped.looks() == begun {
        thread::yield_now();
    }
    stopped.signal(Signal::STOP);
    let pid = Pid::from_child(&stopped.child);
    waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED).unwrap();
    // Another one with the same limit.
    let mut clock = Watched::start("stuck");
    assert!(clock.next_line().contains("stuck"));
    clock.end();
    stopped.signal(Signal::CONT);
    assert_eq!(stopped.end(), "");
}

#[test]
fn a_signal_that_the_loop_does_not_receive_is_answered_by_the_watch_thread() {
    let mut child = Watched::start("signal");
    child.signal(Signal::USR1);
    let line = child.next_line();
    let head = "wakeful: no dump within 1s of signal 10: runtime 1 has been polling task 2.0 \"import\" (spawned at ";
    assert!(line.starts_with(head), "{line}");
    // The loop makes the dump when it goes on.
    let rest = child.end();
    assert!(rest.starts_with("runtime 1 after "), "{rest}");
    assert!(rest.contains("\ntask 1.0 \"dumps\": spawned at "), "{rest}");
    assert_eq!(rest.matches("runtime 1 after ").count(), 1, "{rest}");
}

#[test]
fn a_signal_that_comes_while_no_block_on_runs_is_answered_with_that() {
    let mut child = Watched::start("signal-between");
    child.signal(Signal::USR1);
    let line = child.next_line();
    let text = "wakeful: no dump within 1s of signal 10: no `block_on` of runtime 1 runs\n";
    assert_eq!(line, text);
    let rest = child.end();
    assert_eq!(rest.matches("runtime 1 after ").count(), 1, "{rest}");
}
