//! Answers about the source of Wakeful.

/// Returns the names of 20 items, such as `Table::find` or `whole_ms`. They are in `runtime/src`, the last one
/// in `net/src`.
pub fn names() -> [&'static str; 20] {
    [
        // 1. Runs the future of a program, and its tasks beside it.
        "Runtime::block_on",
        // 2. Puts a woken task into the run queue, unless it is there already.
        "TaskTable::wake",
        // 3. Takes the next task out of the run queue. A wake during its poll is not lost.
        "TaskTable::pop",
        // 4. The type that contains the future of a task, and later its output.
        "TaskCell",
        // 5. Catches the panic of a task, around all polls of a tick.
        "Executor::tick",
        // 6. The functions of a waker that is an integer, in a table.
        "VTABLES",
        // 7. Finds the row of a key, unless the key is stale.
        "Table::find",
        // 8. Makes a row vacant, and all its keys stale.
        "Table::release",
        // 9. Calls `epoll_wait` once, and passes its events on.
        "Reactor::turn",
        // 10. Records an event in its source, and takes out the wakers.
        "Source::set_ready",
        // 11. Stores the waker of an operation, and replaces no other.
        "Waiters::store",
        // 12. Clears readiness, unless an event has come since.
        "ReadyWord::clear",
        // 13. Clears readiness after a transfer that has emptied or filled the kernel's buffer.
        "short_transfer",
        // 14. Called by the drop of a wait: removes its waker.
        "Registration::cancel_wait",
        // 15. Rounds the time of a wait up to milliseconds.
        "whole_ms",
        // 16. Takes the timers whose deadlines have passed out of the wheel.
        "Wheel::expire",
        // 17. Publishes that the loop is about to block, and looks into the inbox again.
        "Inbox::prepare_park",
        // 18. Takes a message from another thread, and says whether the eventfd has to be written.
        "Inbox::push",
        // 19. Takes one operation off the budget of a poll.
        "try_consume",
        // 20. Sorts the errors of `accept` into kinds.
        "classify_accept_error",
    ]
}

/// Returns eight changes, and the invariants that they break: 1 for I1. Each of the eight is broken once.
pub fn breaks() -> [(&'static str, u8); 8] {
    [
        ("a. `release` does not raise the generation of a row", 4),
        ("b. `whole_ms` rounds down", 7),
        ("c. `wake` does not look whether the task is scheduled already", 2),
        ("d. `store` replaces the waker of any operation", 6),
        ("e. `prepare_park` does not look again", 5),
        ("f. a tick polls a thousand times as many tasks", 8),
        ("g. the end of a runtime does not drop the futures that are left", 1),
        ("h. an external waker is woken at once, not after the turn", 3),
    ]
}
