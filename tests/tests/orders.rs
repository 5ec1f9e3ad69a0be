//! Orders that a seed tries: which task is next, and where a tick ends.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Poll, Waker};

use wakeful::runtime::Builder;
use wakeful::task::yield_now;

/// A lock that tasks wait for.
#[derive(Default)]
struct Lock {
    is_locked: Cell<bool>,
    waiters: RefCell<Vec<Waker>>,
}

impl Lock {
    async fn lock(&self) {
        poll_fn(|cx| {
            if !self.is_locked.replace(true) {
                return Poll::Ready(());
            }
            self.waiters.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn unlock(&self) {
        self.is_locked.set(false);
        for waker in self.waiters.take() {
            waker.wake();
        }
    }
}

/// Takes two locks, one after the other, after some yields.
async fn take_both(first: Rc<Lock>, second: Rc<Lock>, yields: u32) {
    for _ in 0..yields {
        yield_now().await;
    }
    first.lock().await;
    yield_now().await;
    second.lock().await;
    second.unlock();
    first.unlock();
}

/// Returns whether two tasks that take two locks in opposite orders hang.
fn hangs(seed: Option<u64>) -> bool {
    let mut builder = Builder::new();
    if let Some(seed) = seed {
        builder = builder.rng_seed(seed);
    }
    builder.build().unwrap().block_on(async {
        let (a, b) = (Rc::<Lock>::default(), Rc::<Lock>::default());
        // The second task begins after the first has ended, if both take one turn per yield.
        let one = wakeful::spawn(take_both(Rc::clone(&a), Rc::clone(&b), 0));
        let two = wakeful::spawn(take_both(b, a, 3));
        for _ in 0..100 {
            yield_now().await;
        }
        !(one.is_finished() && two.is_finished())
    })
}

#[test]
fn two_locks_that_are_taken_in_opposite_orders_hang_under_some_seeds() {
    assert!(!hangs(None), "the plain order");
    let found: Vec<u64> = (0..2_000).filter(|seed| hangs(Some(*seed))).collect();
    assert!(
        (5..1_000).contains(&found.len()),
        "{} of 2,000",
        found.len()
    );
    assert!(found[0] < 500, "{found:?}");
    // A seed that was found is found again.
    assert!(found.iter().all(|seed| hangs(Some(*seed))));
}

/// Counts the runs, and fails in the last one.
static RUNS: AtomicU32 = AtomicU32::new(0);

#[wakeful::test(seeds = RUNS_OF_A_TEST)]
#[should_panic(expected = "the last run")]
async fn a_test_with_seeds_runs_once_per_seed() {
    let runs = RUNS.fetch_add(1, Ordering::Relaxed) + 1;
    assert!(runs < RUNS_OF_A_TEST, "the last run");
}

const RUNS_OF_A_TEST: u32 = 50;

#[wakeful::test(seeds = 5, start_paused = true)]
async fn a_test_with_seeds_can_have_options_and_return_a_result() -> std::io::Result<()> {
    wakeful::time::sleep(std::time::Duration::from_secs(3_600)).await;
    Ok(())
}

const TWO_LOCKS: &str = "two_locks_that_are_taken_in_one_order_hang_under_no_seed";

/// Set in a process whose tasks take the locks in opposite orders.
const OPPOSITE: &str = "WAKEFUL_TEST_OPPOSITE";

#[wakeful::test(seeds = 2_000)]
async fn two_locks_that_are_taken_in_one_order_hang_under_no_seed() {
    let (a, b) = (Rc::<Lock>::default(), Rc::<Lock>::default());
    let one = wakeful::spawn(take_both(Rc::clone(&a), Rc::clone(&b), 0));
    let (first, second) = match std::env::var_os(OPPOSITE) {
        Some(_) => (b, a),
        None => (a, b),
    };
    let two = wakeful::spawn(take_both(first, second, 3));
    for _ in 0..100 {
        yield_now().await;
    }
    assert!(one.is_finished() && two.is_finished(), "the tasks hang");
}

/// Runs the test above with opposite orders, in a process of its own, and returns its stderr.
fn run_two_locks(variables: &[(&str, &str)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([TWO_LOCKS, "--nocapture"])
        .env(OPPOSITE, "1")
        .env_remove("WAKEFUL_SEED")
        .env_remove("WAKEFUL_SEEDS")
        .env("RUST_BACKTRACE", "0")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_seed_that_fails_is_printed_and_repeated() {
    let failed = run_two_locks(&[]);
    let (_, rest) = failed.split_once("Again: WAKEFUL_SEED=").expect(&failed);
    let (seed, command) = rest.split_once(' ').unwrap();
    assert!(
        command.starts_with(&format!("cargo test {TWO_LOCKS}\n")),
        "{failed}"
    );
    let second = run_two_locks(&[]);
    assert!(
        second.contains(seed),
        "the seeds follow from the name: {second}"
    );
    let again = run_two_locks(&[("WAKEFUL_SEED", seed)]);
    assert!(again.contains("the tasks hang"), "{again}");
    assert!(
        again.contains(&format!("failed with seed {seed} (1 of 1)")),
        "{again}"
    );
    let refused = run_two_locks(&[("WAKEFUL_SEED", "0xyz")]);
    assert!(
        refused.contains("WAKEFUL_SEED=0xyz: expected a seed"),
        "{refused}"
    );
}
