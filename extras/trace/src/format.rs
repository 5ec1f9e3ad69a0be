//! The constants of the format: offsets in the header, kinds of events, reserved numbers.
//!
//! `docs/TRACE-FORMAT.md` describes them. The writer is the runtime; nothing else is shared with it.

/// The first eight bytes of a recording.
pub const MAGIC: [u8; 8] = *b"WAKEFUL\0";

/// The version of the format that this package reads.
pub const FORMAT: u32 = 1;

/// Size of the header in bytes.
pub const HEADER: usize = 4096;

/// Size of an event in bytes.
pub const EVENT: usize = 16;

/// Row of the root future in events.
pub const ROOT_ROW: u32 = u32::MAX;

/// Row in place of a waking task: the wake came from an event, a timer or another thread.
pub const OUTSIDE_ROW: u32 = u32::MAX - 1;

/// Text number of a text that did not fit into the texts area.
pub const TEXT_LOST: u32 = u32::MAX;

/// Flag: the recording has ended in order, by `trace::stop` or with its runtime.
pub const ENDED: u32 = 1;

/// Flag: a text did not fit into the texts area.
pub const LOST: u32 = 2;

/// Flag: the times are those of a clock that is not the system's, because it was paused or is an installed kernel's.
pub const VIRTUAL: u32 = 4;

/// Offsets in the header.
pub mod at {
    #![allow(missing_docs, reason = "docs/TRACE-FORMAT.md describes each field")]
    pub const FORMAT: usize = 8;
    pub const PID: usize = 12;
    pub const RUNTIME: usize = 16;
    pub const CAPACITY: usize = 24;
    pub const TEXTS: usize = 32;
    pub const TEXTS_SIZE: usize = 40;
    pub const EVENTS: usize = 48;
    pub const HEAD: usize = 56;
    pub const TEXTS_USED: usize = 64;
    pub const CLOCK: usize = 72;
    pub const FLAGS: usize = 76;
    pub const WALL_CLOCK: usize = 80;
    pub const START: usize = 88;
    pub const CALIBRATION_TICKS: usize = 96;
    pub const CALIBRATION_NS: usize = 104;
    pub const POLLED: usize = 112;
    pub const POLLS: usize = 120;
    pub const POLLED_PLACE: usize = 128;
    pub const LOOP_STATE: usize = 136;
    pub const THREAD: usize = 140;
    pub const REQUEST: usize = 144;
    pub const ANSWERED: usize = 148;
    pub const QUEUE: usize = 152;
}

/// Kinds of events.
pub mod kind {
    #![allow(missing_docs, reason = "docs/TRACE-FORMAT.md describes each kind")]
    pub const SPAWN: u8 = 1;
    pub const NAME: u8 = 2;
    pub const POLL_BEGIN: u8 = 3;
    pub const POLL_END: u8 = 4;
    pub const WAIT: u8 = 5;
    pub const WAIT_ON: u8 = 6;
    pub const WAKE: u8 = 7;
    pub const TURN_BEGIN: u8 = 8;
    pub const TURN_END: u8 = 9;
    pub const TIMER_ARMED: u8 = 10;
    pub const TIMER_FIRED: u8 = 11;
    pub const OPERATION: u8 = 12;
    pub const CLOSURE_BEGIN: u8 = 13;
    pub const CLOSURE_END: u8 = 14;
    pub const MESSAGE: u8 = 15;
    pub const SOURCE_ADDED: u8 = 16;
    pub const SOURCE_REMOVED: u8 = 17;
    pub const MARK: u8 = 18;
    pub const SPAN_BEGIN: u8 = 19;
    pub const SPAN_END: u8 = 20;
    pub const LOST: u8 = 21;
    pub const KEYFRAME_BEGIN: u8 = 22;
    pub const KEYFRAME_TASK: u8 = 23;
    pub const KEYFRAME_BUSY: u8 = 24;
    pub const KEYFRAME_END: u8 = 25;
    pub const PEER: u8 = 26;
}
