//! Every interleaving of a task's end with the thread that waits for it, and of its beginning with
//! its abort.

use std::sync::Arc;

use loom::thread;

use super::{RemoteJoinHandle, Sender, Shared};
use crate::id::RuntimeId;
use crate::sync::model;
use crate::table::Key;
use crate::task::Id;

fn both_sides<T>() -> (Sender<T>, RemoteJoinHandle<T>) {
    let shared = Arc::new(Shared::default());
    let sender = Sender {
        shared: Arc::clone(&shared),
    };
    (sender, RemoteJoinHandle { shared })
}

#[test]
fn a_waiting_thread_is_woken_for_the_result() {
    model(3, || {
        let (sender, handle) = both_sides();
        let runtime = thread::spawn(move || sender.send(Ok(42)));
        assert_eq!(handle.wait().unwrap(), 42);
        runtime.join().unwrap();
    });
}

#[test]
fn a_waiting_thread_is_woken_when_the_task_is_dropped() {
    model(3, || {
        let (sender, handle) = both_sides::<()>();
        let runtime = thread::spawn(move || drop(sender));
        assert!(handle.wait().unwrap_err().is_cancelled());
        runtime.join().unwrap();
    });
}

#[test]
fn an_abort_during_the_beginning_of_the_task_reaches_it() {
    model(3, || {
        let shared = Arc::new(Shared::<()>::default());
        let task = Id {
            runtime: RuntimeId::new(1, 0),
            key: Key::from_bits(0),
        };
        let runtime = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.started(task))
        };
        let aborts = [shared.abort(), runtime.join().unwrap()];
        assert!(aborts.contains(&Some(task)), "the task runs on");
    });
}
