//! Why each program hangs.

/// The cause of a hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// You have not named it yet.
    Unknown,
    /// A future was made, and nothing polls it.
    NeverPolled,
    /// A poll returned `Pending`, and its waker is stored nowhere.
    NoWakerStored,
    /// The event woke the task that waited before, not the one that waits now.
    OldWaker,
    /// A wake came while the task was polled, and was lost.
    WakeDuringThePoll,
    /// The event came after the look and before the wait, and nothing remembers it.
    EventBeforeTheWait,
    /// Each task holds what another one waits for.
    Circle,
    /// Both sides of a connection wait for the other's bytes.
    BothRead,
    /// A call blocks the whole thread.
    BlockedThread,
}

/// Returns the causes of the six programs, in order.
pub fn causes() -> [Cause; 6] {
    [
        Cause::NeverPolled,
        Cause::NoWakerStored,
        Cause::OldWaker,
        Cause::EventBeforeTheWait,
        Cause::Circle,
        Cause::BothRead,
    ]
}
