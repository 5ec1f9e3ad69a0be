//! Every interleaving of a task's start with its abort from another thread.

use std::sync::Arc;

use loom::thread;

use super::AbortRequest;
use crate::id::RuntimeId;
use crate::std_or_loom::model;
use crate::table::Key;
use crate::task::Id;

#[test]
fn an_abort_during_the_start_of_the_task_reaches_it() {
    model(3, || {
        let abort = Arc::new(AbortRequest::default());
        let task = Id {
            runtime: RuntimeId::new(1, 0),
            key: Key::from_bits(0),
        };
        let runtime = {
            let abort = Arc::clone(&abort);
            thread::spawn(move || abort.set_task(task))
        };
        let aborts = [abort.request(), runtime.join().unwrap()];
        assert!(
            aborts.contains(&Some(task)),
            "the abort does not reach the task"
        );
    });
}
