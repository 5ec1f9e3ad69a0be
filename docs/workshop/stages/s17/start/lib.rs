//! Answers about the source of Wakeful.

/// Returns the names of 20 items, such as `Table::find` or `whole_ms`. They are in `runtime/src`, the last one
/// in `net/src`.
pub fn names() -> [&'static str; 20] {
    [
        // 1. Runs the future of a program, and its tasks beside it.
        "",
        // 2. Puts a woken task into the run queue, unless it is there already.
        "",
        // 3. Takes the next task out of the run queue. A wake during its poll is not lost.
        "",
        // 4. The type that contains the future of a task, and later its output.
        "",
        // 5. Catches the panic of a task, around all polls of a tick.
        "",
        // 6. The functions of a waker that is an integer, in a table.
        "",
        // 7. Finds the row of a key, unless the key is stale.
        "",
        // 8. Makes a row vacant, and all its keys stale.
        "",
        // 9. Calls `epoll_wait` once, and passes its events on.
        "",
        // 10. Records an event in its source, and takes out the wakers.
        "",
        // 11. Stores the waker of an operation, and replaces no other.
        "",
        // 12. Clears readiness, unless an event has come since.
        "",
        // 13. Clears readiness after a transfer that has emptied or filled the kernel's buffer.
        "",
        // 14. Called by the drop of a wait: removes its waker.
        "",
        // 15. Rounds the time of a wait up to milliseconds.
        "",
        // 16. Takes the timers whose deadlines have passed out of the wheel.
        "",
        // 17. Publishes that the loop is about to block, and looks into the inbox again.
        "",
        // 18. Takes a message from another thread, and says whether the eventfd has to be written.
        "",
        // 19. Takes one operation off the budget of a poll.
        "",
        // 20. Sorts the errors of `accept` into kinds.
        "",
    ]
}

/// Returns eight changes, and the invariants that they break: 1 for I1. Each of the eight is broken once.
pub fn breaks() -> [(&'static str, u8); 8] {
    [
        ("a. `release` does not raise the generation of a row", 0),
        ("b. `whole_ms` rounds down", 0),
        ("c. `wake` does not look whether the task is scheduled already", 0),
        ("d. `store` replaces the waker of any operation", 0),
        ("e. `prepare_park` does not look again", 0),
        ("f. a tick polls a thousand times as many tasks", 0),
        ("g. the end of a runtime does not drop the futures that are left", 0),
        ("h. an external waker is woken at once, not after the turn", 0),
    ]
}
