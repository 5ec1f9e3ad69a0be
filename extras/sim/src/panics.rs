//! Where the runs of this thread have panicked, and silence for runs that only repeat others.

use std::cell::{Cell, RefCell};
use std::panic;
use std::sync::Once;

/// Begins the message with which a runtime ends because of the panic of a task.
const UNHANDLED: &str = "wakeful: unhandled panic of a task";

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
    /// Set while the simulation itself ends a run.
    static ENDS_RUN: Cell<bool> = const { Cell::new(false) };
}

/// Notes the place of each panic of this thread while `run` runs, and prints none if it is quiet. Returns what
/// `run` returns and the place of the last panic.
pub(crate) fn observed<R>(quiet: bool, run: impl FnOnce() -> R) -> (R, Option<String>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // The runtime panics once more for a task that nothing joins. The place is that of the task.
            let text = info.payload().downcast_ref::<String>();
            if !text.is_some_and(|text| text.starts_with(UNHANDLED)) {
                let place = info.location().map(ToString::to_string);
                PLACE.with_borrow_mut(|last| *last = place);
            }
            if !ENDS_RUN.take() && !IS_QUIET.get() {
                print(info);
            }
        }));
    });
    let before = IS_QUIET.replace(quiet);
    PLACE.take();
    // `run` catches the panics of the test.
    let result = run();
    IS_QUIET.set(before);
    (result, PLACE.take())
}

/// Ends a run with a panic that is not printed, because the report has its text. Its place is that of the call.
///
/// # Panics
///
/// Always.
#[track_caller]
pub(crate) fn end_run(text: String) -> ! {
    ENDS_RUN.set(true);
    panic!("{text}")
}
