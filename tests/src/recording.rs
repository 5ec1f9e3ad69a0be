//! Reads recordings, as docs/TRACE-FORMAT.md defines them. Independent of the constants of the writer.

use std::fmt::Write;

/// A recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    bytes: Vec<u8>,
    /// The texts; number 1 is the first.
    pub texts: Vec<String>,
    /// The events that are left in the ring.
    pub events: Vec<Event>,
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The number of the event since the start.
    pub number: u64,
    /// The time since the start, in the unit of the recording.
    pub time: u64,
    /// The kind.
    pub kind: u8,
    /// The generation of a task, or a number whose meaning depends on the kind.
    pub a: u8,
    /// The row of a task, or a descriptor.
    pub x: u32,
    /// A number whose meaning depends on the kind.
    pub y: u32,
}

/// The row of the root future.
pub const ROOT: u32 = u32::MAX;
/// The row of no task.
pub const NO_TASK: u32 = u32::MAX - 1;

/// Names of the kinds, from 1 on.
const KINDS: [&str; 26] = [
    "spawn",
    "name",
    "poll",
    "end",
    "wait",
    "on",
    "wake",
    "turn",
    "turn end",
    "armed",
    "fired",
    "operation",
    "closure",
    "closure end",
    "message",
    "source",
    "source removed",
    "mark",
    "span",
    "span end",
    "lost",
    "keyframe",
    "keyframe task",
    "keyframe busy",
    "keyframe end",
    "peer",
];

impl Recording {
    /// Reads a recording that is not written meanwhile.
    ///
    /// # Panics
    ///
    /// If the bytes are not a recording of version 1.
    #[must_use]
    pub fn read(bytes: Vec<u8>) -> Self {
        assert_eq!(&bytes[..8], b"WAKEFUL\0");
        let mut recording = Recording {
            bytes,
            texts: Vec::new(),
            events: Vec::new(),
        };
        assert_eq!(recording.u32(8), 1, "the version");
        let size = recording.u64(48) + 16 * recording.u64(24);
        assert_eq!(recording.bytes.len() as u64, size);
        recording.texts = recording.read_texts();
        recording.events = recording.read_events();
        recording
    }

    fn read_texts(&self) -> Vec<String> {
        let mut at = self.u64(32) as usize;
        let end = at + self.u64(64) as usize;
        let mut texts = Vec::new();
        while at < end {
            let length = self.u32(at) as usize;
            let text = self.bytes[at + 4..at + 4 + length].to_vec();
            texts.push(String::from_utf8(text).expect("UTF-8"));
            at += 4 + length.next_multiple_of(4);
        }
        assert_eq!(at, end);
        texts
    }

    fn read_events(&self) -> Vec<Event> {
        let (head, capacity) = (self.u64(56), self.u64(24));
        let numbers = head.saturating_sub(capacity)..head;
        let event = |number: u64| {
            let at = (self.u64(48) + 16 * (number % capacity)) as usize;
            Event::of(number, self.u64(at), self.u64(at + 8))
        };
        numbers.map(event).collect()
    }

    /// Returns a word of the header.
    ///
    /// # Panics
    ///
    /// If it is outside of the recording.
    #[must_use]
    pub fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().expect("8 bytes"))
    }

    /// Returns half a word of the header.
    ///
    /// # Panics
    ///
    /// If it is outside of the recording.
    #[must_use]
    pub fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().expect("4 bytes"))
    }

    /// Returns the flags of the header, without the one of a clock that is not the system's, which a simulation has.
    #[must_use]
    pub fn flags(&self) -> u32 {
        const FLAG_VIRTUAL: u32 = 4;
        self.u32(76) & !FLAG_VIRTUAL
    }

    /// Returns a text by its number.
    #[must_use]
    pub fn text(&self, number: u32) -> &str {
        match number {
            0 => "",
            u32::MAX => "?",
            number => &self.texts[number as usize - 1],
        }
    }

    /// Returns the events of a kind.
    pub fn of_kind(&self, kind: u8) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.kind == kind)
    }

    /// Returns an event as a line, with rows as numbers and places as names of files.
    ///
    /// # Panics
    ///
    /// If it has a kind or a text that does not exist.
    #[must_use]
    pub fn line(&self, event: &Event) -> String {
        let Event { kind, a, x, y, .. } = *event;
        let row = |row| match row {
            ROOT => "root".to_owned(),
            NO_TASK => "none".to_owned(),
            row => row.to_string(),
        };
        let mut line = KINDS[usize::from(kind) - 1].to_owned();
        let written = match kind {
            1 | 2 | 18..=20 => write!(line, " {} {}", row(x), short(self.text(y))),
            3 => write!(line, " {} cause {} {}", row(x), y >> 24, y & 0xff_ffff),
            4 => write!(
                line,
                " {} {}",
                row(x),
                ["pending", "ready", "panicked", "aborted"][y as usize]
            ),
            5 => write!(line, " {} {}", row(x), self.text(y)),
            6 => write!(line, " {a} {x} {}", short(self.text(y))),
            7 | 11 => write!(line, " {} {}", row(x), row(y)),
            8 | 9 => write!(line, " {} {y}", x.cast_signed()),
            12 => write!(line, " {a} fd {x} {}", y.cast_signed()),
            13 | 14 | 23 => write!(line, " {} {y}", row(x)),
            24 => write!(line, " {}", row(x)),
            26 => write!(line, " fd {x} {}", self.text(y)),
            _ => write!(line, " {x} {y}"),
        };
        written.expect("a string takes any text");
        line
    }

    /// Returns all events as lines.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.events.iter().map(|event| self.line(event)).collect()
    }

    /// Returns texts and events, which equal runs have in common.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.bytes[4096..]
    }
}

impl Event {
    /// Reads an event from its two words.
    #[must_use]
    pub fn of(number: u64, first: u64, second: u64) -> Self {
        Event {
            number,
            time: first & ((1 << 48) - 1),
            kind: (first >> 48) as u8,
            a: (first >> 56) as u8,
            x: second as u32,
            y: (second >> 32) as u32,
        }
    }
}

/// Returns a place without its folder, its line and its column.
fn short(place: &str) -> &str {
    let place = place.rsplit('/').next().unwrap_or(place);
    place.split(".rs:").next().unwrap_or(place)
}
