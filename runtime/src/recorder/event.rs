//! The numbers in a recording. docs/TRACE-FORMAT.md defines them.

use std::io;

use crate::task_info::{WaitKind, WaitOn, WakeCause};

/// The version of the format.
pub(crate) const FORMAT: u32 = 1;
/// The first eight bytes.
pub(crate) const MAGIC: [u8; 8] = *b"WAKEFUL\0";

/// The row of the root future in events. It has row 0 in the table of tasks.
pub(crate) const ROOT_ROW: u32 = u32::MAX;
/// The row of no task in events.
pub(crate) const NO_TASK: u32 = u32::MAX - 1;
/// The number of a text that does not fit.
pub(crate) const LOST_TEXT: u32 = u32::MAX;

/// Offsets of the words of 64 bits in the header.
pub(crate) mod word {
    pub(crate) const MAGIC: usize = 0;
    /// Format, process.
    pub(crate) const FORMAT: usize = 8;
    pub(crate) const RUNTIME: usize = 16;
    pub(crate) const CAPACITY: usize = 24;
    pub(crate) const TEXTS: usize = 32;
    pub(crate) const TEXTS_SIZE: usize = 40;
    pub(crate) const EVENTS: usize = 48;
    pub(crate) const HEAD: usize = 56;
    pub(crate) const TEXTS_USED: usize = 64;
    /// Unit of times, flags.
    pub(crate) const UNIT: usize = 72;
    pub(crate) const WALL_CLOCK: usize = 80;
    pub(crate) const START: usize = 88;
    pub(crate) const CALIBRATION_TIME: usize = 96;
    pub(crate) const CALIBRATION_NS: usize = 104;
    pub(crate) const POLLED: usize = 112;
    pub(crate) const POLLS: usize = 120;
    pub(crate) const POLLED_PLACE: usize = 128;
    /// State of the loop, thread.
    pub(crate) const LOOP: usize = 136;
    pub(crate) const QUEUED: usize = 152;
}

/// Offsets of the words of 32 bits that a reader and the runtime write.
pub(crate) mod half {
    pub(crate) const REQUEST: usize = 144;
    pub(crate) const ANSWERED: usize = 148;
}

/// Units of times.
pub(crate) const UNIT_TICKS: u32 = 1;
pub(crate) const UNIT_NS: u32 = 2;

/// Flags of the header.
pub(crate) const FLAG_ENDED: u32 = 1;
pub(crate) const FLAG_LOST: u32 = 2;
pub(crate) const FLAG_VIRTUAL: u32 = 4;

/// Values of [`word::POLLED`] that are no task.
pub(crate) const POLLED_NONE: u64 = u64::MAX;
pub(crate) const POLLED_ROOT: u64 = u64::MAX - 1;

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Spawn = 1,
    Name = 2,
    PollBegin = 3,
    PollEnd = 4,
    Wait = 5,
    WaitOn = 6,
    Wake = 7,
    TurnBegin = 8,
    TurnEnd = 9,
    TimerArmed = 10,
    TimerFired = 11,
    Operation = 12,
    ClosureBegin = 13,
    ClosureEnd = 14,
    Message = 15,
    SourceAdded = 16,
    SourceRemoved = 17,
    Mark = 18,
    SpanBegin = 19,
    SpanEnd = 20,
    Lost = 21,
    KeyframeBegin = 22,
    KeyframeTask = 23,
    KeyframeBusy = 24,
    KeyframeEnd = 25,
    Peer = 26,
}

/// The kind of an operation on a descriptor, for [`trace::operation`](crate::trace::operation).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum Operation {
    /// Bytes or a datagram received.
    Receive = 1,
    /// Bytes or a datagram sent.
    Send = 2,
    /// A connection accepted.
    Accept = 3,
    /// A connection begun.
    Connect = 4,
    /// Anything else.
    Other = 5,
}

/// The result of an operation that failed with an error that has no number.
const UNKNOWN_ERROR: i32 = i32::MIN;

/// Packs the result of an operation.
pub(crate) fn operation_result(result: Result<usize, &io::Error>) -> u32 {
    let result = match result {
        Ok(count) => i32::try_from(count).unwrap_or(i32::MAX),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => -libc::EAGAIN,
        Err(error) => error.raw_os_error().map_or(UNKNOWN_ERROR, |errno| -errno),
    };
    result.cast_unsigned()
}

/// How a poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PollEnd {
    Pending = 0,
    Ready = 1,
    Panicked = 2,
    Aborted = 3,
}

/// Times have this many bits.
const TIME_BITS: u32 = 48;

/// Packs the first word of an event.
#[inline]
pub(crate) fn first_word(time: u64, kind: Kind, a: u8) -> u64 {
    (time & ((1 << TIME_BITS) - 1)) | u64::from(kind as u8) << TIME_BITS | u64::from(a) << 56
}

/// Packs the second word of an event.
#[inline]
pub(crate) fn second_word(x: u32, y: u32) -> u64 {
    u64::from(x) | u64::from(y) << 32
}

/// Packs the cause of a poll: the kind in the high 8 bits, a value in the others.
pub(crate) fn cause(cause: WakeCause) -> u32 {
    let value = match cause {
        WakeCause::Io { fd, .. } => fd.cast_unsigned(),
        WakeCause::Task { row, .. } => row,
        _ => 0,
    };
    (cause.kind() as u32) << 24 | value & 0xff_ffff
}

/// Returns the kind of a wait, and its value.
pub(crate) fn wait_on(on: WaitOn) -> (u8, u32) {
    match on.kind() {
        WaitKind::Descriptor(fd) => (1, fd.cast_unsigned()),
        WaitKind::Timer => (2, on.row()),
        WaitKind::Task => (3, on.row()),
        WaitKind::List => (4, 0),
        WaitKind::Closure => (5, 0),
        WaitKind::Signal(number) => (6, number.cast_unsigned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_an_event_do_not_overlap() {
        assert_eq!(first_word(u64::MAX, Kind::Spawn, 0), 0x0001_ffff_ffff_ffff);
        assert_eq!(first_word(1 << 48, Kind::Peer, 0xab), 0xab1a_0000_0000_0000);
        assert_eq!(second_word(1, 2), 0x0000_0002_0000_0001);
        let task = WakeCause::Task {
            row: 0x1234_5678,
            generation: 9,
        };
        assert_eq!(cause(task), 0x0334_5678);
        assert_eq!(wait_on(WaitOn::descriptor(7)), (1, 7));
        let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        assert_eq!(
            operation_result(Err(&refused)),
            (-libc::ECONNREFUSED).cast_unsigned()
        );
        assert_eq!(operation_result(Ok(usize::MAX)), i32::MAX as u32);
    }
}
