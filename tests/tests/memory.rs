//! Memory: the number of allocations of each operation, and that all of them are freed.
//!
//! A program of its own, because a program has one global allocator. This one counts per thread, so
//! other tests and the harness do not disturb the counts.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::future::{pending, ready};
use std::io::Write;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Waker;

use wakeful::io::AsyncFd;
use wakeful::runtime::Builder;
use wakeful::task::{JoinHandle, yield_now};
use wakeful::time::{Duration, Sleep, sleep, timeout};
use wakeful::{spawn, task};
use wakeful_tests::trace::{my_waker, pair, paused, poll_with, runtime, secs, settle};

struct Counting;

thread_local! {
    /// Allocations made on this thread, minus those freed on this thread.
    static LIVE: Cell<i64> = const { Cell::new(0) };
    /// The same in bytes.
    static BYTES: Cell<i64> = const { Cell::new(0) };
    /// Allocations made on this thread so far, including reallocations.
    static MADE: Cell<u64> = const { Cell::new(0) };
}

fn count(live: i64, bytes: i64, made: u64) {
    LIVE.set(LIVE.get() + live);
    BYTES.set(BYTES.get() + bytes);
    MADE.set(MADE.get() + made);
}

// SAFETY: every call is passed on to the system's allocator unchanged. Counting uses thread-locals
// that need neither initialization nor a destructor, so it does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64, 1);
        // SAFETY: the caller's guarantees are passed on to the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-1, -(layout.size() as i64), 0);
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(0, size as i64 - layout.size() as i64, 1);
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the number of allocations during `f`.
fn allocations<R>(f: impl FnOnce() -> R) -> u64 {
    let before = MADE.get();
    drop(f());
    MADE.get() - before
}

/// Asserts that this thread has exactly as many live allocations and bytes after `f` as before.
#[track_caller]
fn frees_everything(f: impl Fn()) {
    // The first call makes the allocations that are kept for the life of the process.
    f();
    let (live, bytes) = (LIVE.get(), BYTES.get());
    for _ in 0..3 {
        f();
    }
    assert_eq!((LIVE.get() - live, BYTES.get() - bytes), (0, 0));
}

// --- all memory is freed ----------------------------------------------------------------------------

#[test]
fn a_runtime_frees_everything_it_has_allocated() {
    frees_everything(|| drop(runtime()));
    frees_everything(|| runtime().block_on(settle()));
    frees_everything(|| {
        let runtime = paused();
        runtime.block_on(async {
            for number in 0..100_u64 {
                spawn(async move {
                    sleep(Duration::from_millis(number)).await;
                    vec![0_u8; 100]
                });
            }
            sleep(secs(1)).await;
        });
    });
}

#[test]
fn tasks_dropped_with_their_runtime_leave_no_allocation() {
    frees_everything(|| {
        let runtime = runtime();
        let (here, _there) = pair();
        let kept = runtime.block_on(async {
            let fd = AsyncFd::new(here).unwrap();
            spawn(async move { drop(fd.readable().await) });
            spawn(async { sleep(secs(3600)).await });
            let named = task::Builder::new().name("a name is an allocation");
            drop(named.spawn(pending::<Vec<u8>>()));
            let finished = spawn(ready(vec![1_u8; 1000]));
            let joined = spawn(async { spawn(pending::<()>()).await });
            settle().await;
            (finished, joined)
        });
        drop(runtime);
        drop(kept);
    });
}

#[test]
fn wakers_stored_in_cycles_keep_nothing_alive() {
    frees_everything(|| {
        let runtime = runtime();
        let (here, _there) = pair();
        runtime.block_on(async {
            let fd = Rc::new(AsyncFd::new(here).unwrap());
            for _ in 0..10 {
                let cell: Rc<RefCell<Vec<Waker>>> = Rc::default();
                let fd = Rc::clone(&fd);
                spawn(async move {
                    let waker = my_waker().await;
                    cell.borrow_mut().push(waker.clone());
                    let mut timer = sleep(secs(3600));
                    assert!(poll_with(&mut timer, &waker).is_pending());
                    let mut readable = fd.readable();
                    assert!(poll_with(&mut readable, &waker).is_pending());
                    pending::<()>().await;
                    drop((cell, timer));
                });
            }
            settle().await;
        });
    });
}

#[test]
fn wakers_that_outlive_their_runtime_keep_none_of_its_memory() {
    frees_everything(|| {
        let runtime = runtime();
        let waker = runtime.block_on(async { spawn(my_waker()).await.unwrap() });
        let before = LIVE.get();
        drop(runtime);
        assert!(LIVE.get() < before);
        waker.wake();
    });
}

#[test]
fn panics_and_aborts_leave_no_allocation() {
    std::panic::set_hook(Box::new(|_| ()));
    frees_everything(|| {
        runtime().block_on(async {
            let panics = spawn(async { panic!("a payload on the heap: {}", 1) });
            assert!(panics.await.is_err());
            drop(spawn(async { panic!("{}", 2) }));
            let aborted = spawn(pending::<()>());
            settle().await;
            aborted.abort();
            assert!(aborted.await.is_err());
        });
    });
    drop(std::panic::take_hook());
}

#[test]
fn a_tasks_memory_is_freed_at_its_end_despite_wakers_and_handles() {
    runtime().block_on(async {
        // Lets the table of tasks grow to its size.
        for _ in 0..3 {
            spawn(settle()).await.unwrap();
        }
        let bytes = BYTES.get();
        let task = spawn(async {
            let large = vec![7_u8; 1_000_000];
            let waker = my_waker().await;
            yield_now().await;
            drop(large);
            waker
        });
        let abort = task.abort_handle();
        yield_now().await;
        assert!(BYTES.get() - bytes > 1_000_000);
        settle().await;
        // The output and the cell that stores it.
        assert!(BYTES.get() - bytes < 1_000, "{}", BYTES.get() - bytes);
        let waker = task.await.unwrap();
        assert_eq!(BYTES.get() - bytes, 0);
        drop((waker, abort));
    });
}

#[test]
fn the_memory_of_a_hundred_thousand_timers_is_reused() {
    const TIMERS: u64 = 100_000;
    let runtime = paused();
    runtime.block_on(async {
        let round = || {
            let mut timers: Vec<Sleep> = (0..TIMERS)
                .map(|n| sleep(Duration::from_micros(1 + n * 7_919 % 1_000_000)))
                .collect();
            for timer in &mut timers {
                assert!(poll_with(timer, Waker::noop()).is_pending());
            }
            let mut keep = false;
            timers.retain(|_| {
                keep = !keep;
                keep
            });
            assert_eq!(wakeful::metrics().timers_armed, TIMERS / 2);
            timers
        };
        drop(round());
        assert_eq!(wakeful::metrics().timers_armed, 0);
        let bytes = BYTES.get();
        for _ in 0..3 {
            let timers = round();
            sleep(secs(2)).await;
            assert_eq!(wakeful::metrics().timers_armed, 0, "all have fired");
            drop(timers);
        }
        let more = BYTES.get() - bytes;
        assert!(
            more <= 16 * 1024,
            "{more} bytes more than after the first round"
        );
    });
}

#[test]
fn a_runtime_that_spawns_repeatedly_does_not_grow() {
    for builder in [Builder::new(), Builder::new().rng_seed(7)] {
        let runtime = builder.build().unwrap();
        runtime.block_on(async {
            // One task is always in the queue, while others are spawned and end.
            let always = spawn(async {
                loop {
                    yield_now().await;
                }
            });
            let round = async || {
                for _ in 0..2_000 {
                    spawn(yield_now()).await.unwrap();
                    let named = task::Builder::new().name("a name");
                    named.spawn(yield_now()).unwrap().await.unwrap();
                }
            };
            round().await;
            let bytes = BYTES.get();
            round().await;
            assert_eq!(BYTES.get() - bytes, 0);
            always.abort();
        });
    }
}

#[test]
fn tasks_that_were_reported_as_lost_are_forgotten_when_they_have_ended() {
    let calls = Rc::new(Cell::new(0));
    let count = Rc::clone(&calls);
    let builder = Builder::new().start_paused(true);
    let hook = move |_: &task::TaskInfo| count.set(count.get() + 1);
    let runtime = builder.on_lost_waker(hook).build().unwrap();
    runtime.block_on(async {
        let round = async || {
            let lost: Vec<_> = (0..100).map(|_| spawn(pending::<()>())).collect();
            // A turn without anything to poll, in which the hook is called.
            sleep(secs(1)).await;
            for task in lost {
                task.abort();
                assert!(task.await.unwrap_err().is_cancelled());
            }
        };
        for _ in 0..3 {
            round().await;
        }
        let bytes = BYTES.get();
        for _ in 0..20 {
            round().await;
        }
        assert_eq!(calls.get(), 2300);
        // 2,000 ids would take more. A hash set can grow once, by where the ids happen to be in it.
        let grown = BYTES.get() - bytes;
        assert!(
            grown < 2_000 * size_of::<task::Id>() as i64,
            "{grown} bytes"
        );
    });
}

#[test]
fn a_detached_task_that_woke_itself_in_its_last_poll_frees_its_row() {
    runtime().block_on(async {
        let round = async || {
            for _ in 0..2_000 {
                drop(spawn(async { my_waker().await.wake() }));
                settle().await;
            }
        };
        round().await;
        let bytes = BYTES.get();
        round().await;
        assert_eq!(BYTES.get() - bytes, 0);
    });
}

// --- the cost of operations -------------------------------------------------------------------------

#[test]
fn a_spawn_makes_exactly_one_allocation() {
    const TASKS: u64 = 1_000;
    runtime().block_on(async {
        let round = || {
            let mut handles: Vec<JoinHandle<u64>> = Vec::with_capacity(TASKS as usize);
            let made = allocations(|| handles.extend((0..TASKS).map(|n| spawn(ready(n)))));
            (made, handles)
        };
        // The first rounds let the table of tasks grow to its size.
        for _ in 0..2 {
            let (made, handles) = round();
            assert!((TASKS..TASKS + 100).contains(&made), "{made}");
            for handle in handles {
                handle.await.unwrap();
            }
        }
        let (made, handles) = round();
        assert_eq!(made, TASKS);
        // Polls and joins do not allocate.
        let before = MADE.get();
        for handle in handles {
            handle.await.unwrap();
        }
        assert_eq!(MADE.get() - before, 0);
    });
}

#[test]
fn wakers_yields_and_turns_allocate_nothing() {
    runtime().block_on(async {
        settle().await;
        let waker = my_waker().await;
        let before = MADE.get();
        for _ in 0..1_000 {
            let clone = waker.clone();
            clone.wake_by_ref();
            drop(clone.clone());
            clone.wake();
            yield_now().await;
        }
        assert_eq!(MADE.get() - before, 0);
    });
}

#[test]
fn a_task_that_waits_for_another_allocates_nothing() {
    runtime().block_on(async {
        let mut handle = spawn(pending::<()>());
        let waker = my_waker().await;
        let before = MADE.get();
        assert!(poll_with(&mut handle, &waker).is_pending());
        assert_eq!(MADE.get() - before, 0);
    });
}

#[test]
fn timers_and_timeouts_allocate_nothing_in_a_table_with_room() {
    paused().block_on(async {
        let round = async || {
            for _ in 0..100 {
                sleep(secs(1)).await;
                assert!(timeout(secs(1), pending::<()>()).await.is_err());
                let mut reset = sleep(secs(1));
                assert!(poll_with(&mut reset, Waker::noop()).is_pending());
                Pin::new(&mut reset).reset(wakeful::time::Instant::now() + secs(2));
                reset.await;
            }
        };
        round().await;
        let before = MADE.get();
        round().await;
        assert_eq!(MADE.get() - before, 0);
    });
}

#[test]
fn waits_for_a_descriptor_allocate_nothing_after_the_first_round() {
    let (here, mut there) = pair();
    runtime().block_on(async {
        let fd = AsyncFd::new(here).unwrap();
        let round = async |there: &mut std::os::unix::net::UnixStream| {
            for _ in 0..100 {
                let mut readable = Box::pin(fd.readable());
                let before = MADE.get();
                assert!(poll_with(&mut readable, &my_waker().await).is_pending());
                there.write_all(b"x").unwrap();
                let mut guard = readable.as_mut().await.unwrap();
                let read = guard.try_io(|fd| std::io::Read::read(&mut fd.get_ref(), &mut [0; 8]));
                assert_eq!(read.unwrap().unwrap(), 1);
                guard.short_transfer();
                assert!(
                    MADE.get() - before <= 1,
                    "more than one reallocation of a vector"
                );
            }
        };
        round(&mut there).await;
        let before = MADE.get();
        round(&mut there).await;
        // The only allocation of each round is the test's box.
        assert_eq!(MADE.get() - before, 100);
    });
}

#[test]
fn an_idle_task_needs_at_most_400_bytes_beyond_its_future() {
    const TASKS: i64 = 10_000;
    runtime().block_on(async {
        let bytes = BYTES.get();
        for _ in 0..TASKS {
            drop(spawn(pending::<()>()));
        }
        while wakeful::metrics().polls < TASKS as u64 {
            yield_now().await;
        }
        let each = (BYTES.get() - bytes) / TASKS;
        // A row, in a table that can be twice as large as needed, an entry in the run queue, and
        // the cell.
        assert!(
            each <= 400,
            "{each} bytes for a task whose future has no size"
        );
    });
}

#[test]
fn a_registered_descriptor_needs_at_most_400_bytes() {
    const PAIRS: usize = 100;
    runtime().block_on(async {
        let pairs: Vec<_> = (0..PAIRS).map(|_| pair()).collect();
        let mut fds = Vec::with_capacity(2 * PAIRS);
        let bytes = BYTES.get();
        for (here, there) in pairs {
            fds.extend([here, there].map(|socket| AsyncFd::new(socket).unwrap()));
        }
        let each = (BYTES.get() - bytes) / fds.len() as i64;
        // A row, in a table that can be twice as large as needed, and its part of the readiness words.
        assert!(each <= 400, "{each} bytes");
    });
}
