//! `TaskTracker` on Wakeful, under the names that programs for tokio use.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::rc::Rc;
use std::sync::mpsc;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[tokio::test]
async fn a_closed_tracker_waits_for_each_kind_of_task() {
    let (tracker, token, local) = (
        TaskTracker::new(),
        CancellationToken::new(),
        LocalSet::new(),
    );
    let not_send = Rc::new(1);
    let canceled = token.clone();
    let a = tracker.spawn(async move {
        canceled.cancelled().await;
        *not_send
    });
    let b = tracker.spawn_local(async { 2 });
    let c = tracker.spawn_local_on(async { 3 }, &local);
    let d = tracker.spawn_on(async { 4 }, &Handle::current());
    let (release, released) = mpsc::channel::<()>();
    let e = tracker.spawn_blocking(move || {
        released.recv().ok();
        5
    });
    let (release_on, released) = mpsc::channel::<()>();
    let closure = move || {
        released.recv().ok();
        6
    };
    let f = tracker.spawn_blocking_on(closure, &Handle::current());
    assert_eq!(tracker.len(), 6);
    drop((release, release_on));
    tracker.close();
    token.cancel();
    tracker.wait().await;
    assert!(tracker.is_empty());
    let mut outputs = Vec::new();
    for task in [a, b, c, d, e, f] {
        outputs.push(task.await.unwrap());
    }
    assert_eq!(outputs, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn an_aborted_task_is_not_tracked_any_more() {
    let tracker = TaskTracker::new();
    let (_end, ended) = oneshot::channel::<()>();
    let task = tracker.clone().spawn(ended);
    tracker.close();
    task.abort();
    tracker.wait().await;
    assert!(task.await.unwrap_err().is_cancelled());
}
