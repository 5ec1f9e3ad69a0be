//! Reads the bytes of a recording: a `.wtr` file, `trace::snapshot()`, or a copy of the shared mapping.
//!
//! The bytes are not trusted. A field that cannot be true is an error; what is missing at the end is a
//! warning, and the rest is read. Times become nanoseconds since the start.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::format::{self, at, kind};

/// One event. [`format::kind`] lists the kinds and `docs/TRACE-FORMAT.md` what `a`, `x` and
/// `y` are for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds since the start of the recording.
    pub time: u64,
    /// Kind of the event.
    pub kind: u8,
    /// Small number, mostly the low bits of a generation.
    pub a: u8,
    /// First number, mostly a row.
    pub x: u32,
    /// Second number.
    pub y: u32,
    /// Number of its runtime, in [`Trace::runtimes`].
    pub runtime: u32,
}

/// A runtime with events in a [`Trace`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runtime {
    /// Name of its program, host or file; `""` in a trace of one recording.
    pub name: String,
    /// Time of its first event.
    pub begin: u64,
    /// Time at which it ended, or up to which it was recorded. What has no end of its own lasts until then.
    pub end: u64,
}

/// What happened to a program from outside, such as a crash of its host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Name of the program, host or file, as in [`Runtime`].
    pub name: String,
    /// Time of its begin.
    pub begin: u64,
    /// Time of its end.
    pub end: u64,
    /// What happened.
    pub text: String,
}

/// What the loop publishes beside the events: these words are up to date even during a poll that never ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Task that is polled now.
    pub polled: Polled,
    /// Number of polls begun.
    pub polls: u64,
    /// Number of the text with the spawn location of the polled task.
    pub place: u32,
    /// Whether the loop's thread is in `epoll_wait`.
    pub parked: bool,
    /// Id of the loop's thread.
    pub thread: u32,
    /// Length of the run queue after the last turn.
    pub queue: u64,
    /// Number of the last keyframe that a reader asked for.
    pub request: u32,
    /// Number of the last keyframe that was written.
    pub answered: u32,
}

/// Task that is polled at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// No task.
    None,
    /// The root future.
    Root,
    /// A task.
    Task {
        /// Row of the task.
        row: u32,
        /// Generation of the task.
        generation: u32,
    },
}

/// A recording, or several that were [merged](Self::merge).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Trace {
    /// Id of the process.
    pub pid: u32,
    /// Number of the runtime.
    pub runtime: u64,
    /// Events that fit into the ring.
    pub capacity: u64,
    /// Events written since the start, with those that are no longer in the ring.
    pub written: u64,
    /// Number of the first event in `events`.
    pub first: u64,
    /// The events, in the order in which they were written.
    pub events: Vec<Event>,
    /// The texts. Number 1 is the first one.
    pub texts: Vec<String>,
    /// The runtimes: one, unless recordings were merged.
    pub runtimes: Vec<Runtime>,
    /// What happened from outside. A recording has none.
    pub notes: Vec<Note>,
    /// Wall clock at the start, in nanoseconds since 1970.
    pub wall_clock: u64,
    /// Whether the recording has ended in order, by `trace::stop` or with its runtime.
    pub ended: bool,
    /// Whether times are ticks of the processor, converted here.
    pub ticks: bool,
    /// Whether times are those of a clock that is not the system's. The time of day says nothing about them.
    pub virtual_clock: bool,
    /// What the loop publishes.
    pub published: Published,
    /// What is missing or damaged, in words.
    pub warnings: Vec<String>,
}

impl Trace {
    /// Reads a recording.
    ///
    /// # Errors
    ///
    /// The bytes are no recording, are of another format, or have a header that cannot be true. Missing
    /// bytes at the end are no error, but an entry of [`warnings`](Self::warnings).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Self::from_copy(bytes, 0)
    }

    /// Reads a copy of a mapping in which the writer went on while it was copied. `head_after` is the
    /// word at offset 56, read after the copy; events that can have been overwritten are dropped.
    ///
    /// # Errors
    ///
    /// As for [`from_bytes`](Self::from_bytes).
    pub fn from_copy(bytes: &[u8], head_after: u64) -> Result<Self, Error> {
        let header = Header::read(bytes)?;
        let mut warnings = Vec::new();
        let texts = read_texts(bytes, &header, &mut warnings);
        let first = header.first(head_after);
        let events = read_events(bytes, &header, first, &mut warnings);
        if header.flags & format::LOST != 0 {
            warnings.push("the texts area was full: later texts are \"?\"".to_owned());
        }
        let times = events.iter().map(|event| event.time);
        let runtime = Runtime {
            name: String::new(),
            begin: times.clone().min().unwrap_or(0),
            end: times.max().unwrap_or(0),
        };
        Ok(Self {
            pid: header.pid,
            runtime: header.runtime,
            capacity: header.capacity,
            written: header.head,
            first,
            events,
            texts,
            runtimes: vec![runtime],
            notes: Vec::new(),
            wall_clock: header.wall_clock,
            ended: header.flags & format::ENDED != 0,
            ticks: header.clock == 1,
            virtual_clock: header.flags & format::VIRTUAL != 0,
            published: header.published,
            warnings,
        })
    }

    /// Returns a text, `""` for number 0, and `"?"` for a number without a text.
    pub fn text(&self, number: u32) -> &str {
        match number {
            0 => "",
            _ => self
                .texts
                .get(number as usize - 1)
                .map_or("?", String::as_str),
        }
    }

    /// Returns the number of events that were written and are not in [`events`](Self::events).
    pub fn overwritten(&self) -> u64 {
        self.first
    }

    /// Returns the time at which the first runtime or note begins, in nanoseconds since the start.
    pub fn begin(&self) -> u64 {
        let notes = self.notes.iter().map(|note| note.begin);
        let runtimes = self.runtimes.iter().map(|runtime| runtime.begin);
        runtimes.chain(notes).min().unwrap_or(0)
    }

    /// Returns the time at which the last runtime or note ends, in nanoseconds since the start.
    pub fn end(&self) -> u64 {
        let notes = self.notes.iter().map(|note| note.end);
        let runtimes = self.runtimes.iter().map(|runtime| runtime.end);
        runtimes.chain(notes).max().unwrap_or(0)
    }

    /// Returns the events by kind, for a check of the sums.
    pub fn counts(&self) -> BTreeMap<u8, u64> {
        let mut counts = BTreeMap::new();
        for event in &self.events {
            *counts.entry(event.kind).or_insert(0) += 1;
        }
        counts
    }
}

/// The header, checked.
struct Header {
    pid: u32,
    runtime: u64,
    capacity: u64,
    texts: u64,
    texts_size: u64,
    events: u64,
    head: u64,
    texts_used: u64,
    clock: u32,
    flags: u32,
    wall_clock: u64,
    calibration: (u64, u64),
    published: Published,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.get(..8).is_some_and(|magic| magic != format::MAGIC) {
            return Err(Error::NotARecording);
        }
        if bytes.len() < format::HEADER {
            return Err(Error::TooShort(bytes.len()));
        }
        let found = u32_at(bytes, at::FORMAT);
        if found != format::FORMAT {
            return Err(Error::Format(found));
        }
        let header = Self {
            pid: u32_at(bytes, at::PID),
            runtime: u64_at(bytes, at::RUNTIME),
            capacity: u64_at(bytes, at::CAPACITY),
            texts: u64_at(bytes, at::TEXTS),
            texts_size: u64_at(bytes, at::TEXTS_SIZE),
            events: u64_at(bytes, at::EVENTS),
            head: u64_at(bytes, at::HEAD),
            texts_used: u64_at(bytes, at::TEXTS_USED),
            clock: u32_at(bytes, at::CLOCK),
            flags: u32_at(bytes, at::FLAGS),
            wall_clock: u64_at(bytes, at::WALL_CLOCK),
            calibration: (
                u64_at(bytes, at::CALIBRATION_TICKS),
                u64_at(bytes, at::CALIBRATION_NS),
            ),
            published: published(bytes),
        };
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), Error> {
        let problem = if !self.capacity.is_power_of_two() {
            format!(
                "the capacity is {}, which is no power of two",
                self.capacity
            )
        } else if self.texts < format::HEADER as u64 {
            format!("the texts begin at {}, inside of the header", self.texts)
        } else if self.events < self.texts.saturating_add(self.texts_size) {
            format!(
                "the events begin at {}, inside of the texts ({} bytes from {})",
                self.events, self.texts_size, self.texts
            )
        } else if self.texts_used > self.texts_size {
            format!(
                "{} bytes of texts are used, of {}",
                self.texts_used, self.texts_size
            )
        } else if !matches!(self.clock, 1 | 2) {
            format!(
                "the clock is {}; known are 1 (ticks) and 2 (nanoseconds)",
                self.clock
            )
        } else {
            return Ok(());
        };
        Err(Error::Header(problem))
    }

    /// Number of the first event that cannot have been overwritten. The slot of the event before it is
    /// the one into which the writer writes next.
    fn first(&self, head_after: u64) -> u64 {
        let head = self.head.max(head_after);
        let next = head.saturating_add(1);
        next.saturating_sub(self.capacity).min(self.head)
    }
}

fn published(bytes: &[u8]) -> Published {
    let word = u64_at(bytes, at::POLLED);
    Published {
        polled: match word {
            u64::MAX => Polled::None,
            _ if word == u64::MAX - 1 => Polled::Root,
            _ => Polled::Task {
                row: word as u32,
                generation: (word >> 32) as u32,
            },
        },
        polls: u64_at(bytes, at::POLLS),
        place: u64_at(bytes, at::POLLED_PLACE) as u32,
        parked: u32_at(bytes, at::LOOP_STATE) == 1,
        thread: u32_at(bytes, at::THREAD),
        queue: u64_at(bytes, at::QUEUE),
        request: u32_at(bytes, at::REQUEST),
        answered: u32_at(bytes, at::ANSWERED),
    }
}

/// Reads the texts that are there. A text that is cut ends the list.
fn read_texts(bytes: &[u8], header: &Header, warnings: &mut Vec<String>) -> Vec<String> {
    let begin = usize::try_from(header.texts).unwrap_or(usize::MAX);
    let used = usize::try_from(header.texts_used).unwrap_or(usize::MAX);
    let area = bytes.get(begin..).unwrap_or_default();
    let mut rest = &area[..used.min(area.len())];
    let mut texts = Vec::new();
    while rest.len() >= 4 {
        let size = u32_at(rest, 0) as usize;
        let Some(text) = rest.get(4..size.saturating_add(4)) else {
            break;
        };
        texts.push(String::from_utf8_lossy(text).into_owned());
        let padded = size.next_multiple_of(4).saturating_add(4);
        rest = rest.get(padded..).unwrap_or_default();
    }
    if !rest.is_empty() || area.len() < used {
        warnings.push(format!(
            "the texts end after {} entries: later ones are \"?\"",
            texts.len()
        ));
    }
    texts
}

/// Reads the events from number `first` on.
fn read_events(
    bytes: &[u8],
    header: &Header,
    first: u64,
    warnings: &mut Vec<String>,
) -> Vec<Event> {
    let begin = usize::try_from(header.events).unwrap_or(usize::MAX);
    let slots = bytes.get(begin..).unwrap_or_default();
    let present = (slots.len() / format::EVENT) as u64;
    let wanted = header.head - first;
    // The numbers `first..head` are at most two runs of slots.
    let slot = first % header.capacity;
    let one = wanted.min(header.capacity - slot);
    let mut events = Vec::new();
    let mut found = 0;
    for (from, count) in [(slot, one), (0, wanted - one)] {
        let from = from.min(present) as usize;
        let count = count.min(present - from as u64) as usize;
        found += count as u64;
        let run = &slots[from * format::EVENT..(from + count) * format::EVENT];
        events.extend(run.chunks_exact(format::EVENT).map(|chunk| {
            let word = u64_at(chunk, 0);
            Event {
                time: word & TIME,
                kind: (word >> 48) as u8,
                a: (word >> 56) as u8,
                x: u32_at(chunk, 8),
                y: u32_at(chunk, 12),
                runtime: 0,
            }
        }));
    }
    if found < wanted {
        warnings.push(format!(
            "the file is truncated: {found} of {wanted} events are in it"
        ));
    }
    events.retain(|event| event.kind != 0);
    to_nanoseconds(&mut events, header, warnings);
    events
}

/// The bits of a time in an event.
const TIME: u64 = (1 << 48) - 1;

/// Latest time, 146 years: sums of times do not overflow.
const LATEST: u64 = 1 << 62;

/// Extends times to 64 bits and converts ticks. The last calibration is close to the last event, so it
/// says how often the 48 bits had overflowed by then.
fn to_nanoseconds(events: &mut [Event], header: &Header, warnings: &mut Vec<String>) {
    let (ticks, ns) = header.calibration;
    let anchor = match header.clock {
        2 => ns,
        _ => ticks,
    };
    // The last event can be far behind the calibration; the others are in order, but for small steps.
    let (mut next, mut slack) = (anchor, 1 << 47);
    for event in events.iter_mut().rev() {
        let near = (next & !TIME) | event.time;
        event.time = if near > next.saturating_add(slack) {
            near.checked_sub(TIME + 1).unwrap_or(near)
        } else if near.saturating_add(TIME + 1) <= next.saturating_add(slack) {
            near.saturating_add(TIME + 1)
        } else {
            near
        };
        event.time = event.time.min(LATEST);
        (next, slack) = (event.time, 1 << 44);
    }
    if header.clock == 2 {
        return;
    }
    if ticks == 0 || ns == 0 {
        if !events.is_empty() {
            warnings.push("the clock was never calibrated: times are ticks".to_owned());
        }
        return;
    }
    for event in events {
        let exact = u128::from(event.time) * u128::from(ns) / u128::from(ticks);
        event.time = u64::try_from(exact).unwrap_or(LATEST).min(LATEST);
    }
}

/// Returns whether events of a kind have a task as `x` with its generation as `a`.
pub(crate) fn names_a_task(kind: u8) -> bool {
    matches!(
        kind,
        kind::SPAWN
            | kind::NAME
            | kind::POLL_BEGIN
            | kind::POLL_END
            | kind::WAIT
            | kind::WAKE
            | kind::MARK
            | kind::SPAN_BEGIN
            | kind::SPAN_END
            | kind::KEYFRAME_TASK
            | kind::KEYFRAME_BUSY
    )
}

/// Returns whether `y` is the number of a text in events of a kind.
pub(crate) fn has_a_text(kind: u8) -> bool {
    matches!(
        kind,
        kind::SPAWN
            | kind::NAME
            | kind::WAIT
            | kind::WAIT_ON
            | kind::MARK
            | kind::SPAN_BEGIN
            | kind::SPAN_END
            | kind::PEER
    )
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(word)
}

pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(word)
}
