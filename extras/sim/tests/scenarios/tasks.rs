//! Tasks: their wakes, their ends, and those that wait for them.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_lite::future::poll_once;
use wakeful::Shutdown;
use wakeful::task::{consume_budget, spawn_blocking};
use wakeful::time::{Instant, sleep, sleep_until};
use wakeful_sim::Sim;

const PAUSE: Duration = Duration::from_millis(1);

pub(super) async fn a_task_wakes_itself(_: Sim) {
    let mut polls = 0;
    let task = wakeful::spawn(poll_fn(move |cx| {
        polls += 1;
        if polls == 3 {
            return Poll::Ready(polls);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }));
    assert_eq!(task.await.unwrap(), 3);
}

pub(super) async fn an_aborted_task_is_joined(_: Sim) {
    let task = wakeful::spawn(sleep(PAUSE * 1000));
    let handle = task.abort_handle();
    let joiner = wakeful::spawn(async move { task.await.unwrap_err() });
    sleep(PAUSE).await;
    handle.abort();
    assert!(joiner.await.unwrap().is_cancelled());
}

/// If the closure is late, its task has ended before.
pub(super) async fn an_aborted_closure_does_not_begin(_: Sim) {
    let began = Arc::new(AtomicBool::new(false));
    let task = spawn_blocking({
        let began = Arc::clone(&began);
        move || began.store(true, Ordering::Relaxed)
    });
    sleep(PAUSE / 10).await;
    task.abort();
    task.await.ok();
    let before = began.load(Ordering::Relaxed);
    sleep(PAUSE).await;
    assert_eq!(began.load(Ordering::Relaxed), before);
}

/// The task is aborted in the turn in which its timer expires.
pub(super) async fn an_abort_meets_a_wake(_: Sim) {
    let at = Instant::now() + PAUSE * 2;
    let task = wakeful::spawn(async move {
        sleep_until(at).await;
        pending::<()>().await;
    });
    sleep(PAUSE).await;
    sleep_until(at).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
}

/// The handle is dropped in the turn in which its task ends.
pub(super) async fn a_handle_is_dropped_at_the_end_of_its_task(_: Sim) {
    let at = Instant::now() + PAUSE * 2;
    let output = Rc::new(());
    let task = wakeful::spawn({
        let output = Rc::clone(&output);
        async move {
            sleep(PAUSE).await;
            sleep_until(at).await;
            output
        }
    });
    sleep_until(at).await;
    drop(task);
    sleep(PAUSE).await;
    assert_eq!(Rc::strong_count(&output), 1, "the output is dropped");
}

pub(super) async fn an_output_waits_for_its_joiner(_: Sim) {
    let task = wakeful::spawn(async { String::from("output") });
    sleep(PAUSE).await;
    assert_eq!(task.await.unwrap(), "output");
}

pub(super) async fn a_handle_moves_to_another_task(_: Sim) {
    let mut task = wakeful::spawn(sleep(PAUSE));
    assert!(poll_once(&mut task).await.is_none(), "it waits here first");
    let joiner = wakeful::spawn(async move { task.await.unwrap() });
    joiner.await.unwrap();
}

pub(super) async fn an_old_handle_aborts_no_other_task(_: Sim) {
    let first = wakeful::spawn(async {});
    let handle = first.abort_handle();
    first.await.unwrap();
    let second = wakeful::spawn(async {
        sleep(PAUSE).await;
        5
    });
    handle.abort();
    assert_eq!(second.await.unwrap(), 5);
}

pub(super) async fn a_busy_task_lets_others_run(_: Sim) {
    let has_run = Rc::new(Cell::new(false));
    let other = wakeful::spawn({
        let has_run = Rc::clone(&has_run);
        async move { has_run.set(true) }
    });
    for _ in 0..20_000 {
        consume_budget().await;
    }
    assert!(has_run.get(), "20,000 operations without a pause");
    other.await.unwrap();
}

pub(super) async fn a_shutdown_reaches_every_task(_: Sim) {
    let shutdown = Shutdown::new();
    let tasks = [(); 3].map(|()| wakeful::spawn(shutdown.cancelled()));
    sleep(PAUSE).await;
    shutdown.cancel();
    for task in tasks {
        task.await.unwrap();
    }
}

/// The future could end in the turn in which it is canceled.
pub(super) async fn nothing_runs_after_a_cancellation(_: Sim) {
    let shutdown = Shutdown::new();
    let at = Instant::now() + PAUSE;
    let task = wakeful::spawn({
        let shutdown = shutdown.clone();
        async move {
            let work = async {
                sleep_until(at).await;
                assert!(!shutdown.is_cancelled(), "the future runs after that");
            };
            shutdown.run_until_cancelled(work).await;
        }
    });
    sleep(PAUSE / 2).await;
    sleep_until(at).await;
    shutdown.cancel();
    task.await.unwrap();
}
