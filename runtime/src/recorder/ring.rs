//! The ring of events and the texts, in a shared mapping. docs/TRACE-FORMAT.md has the layout.
//!
//! Written by the runtime's thread alone, by the [`recorder`](super); read by anyone who has the mapping. Each
//! event is written between two publications of the number of events:
//!
//! ```text
//!  writer                                 reader
//!  1. fence                               a. head (acquire)
//!  2. the two words of event n            b. the words of the events
//!  3. head = n + 1 (release)              c. fence (acquire)
//!                                         d. head again: n' means that the events
//!                                            up to n' - capacity can be torn
//! ```
//!
//! If b reads a word of event n, the fences order the head n, which was stored before 1, before d. Without the
//! fence at 1 the words could be stored before that head. On x86-64 it is no instruction.
//!
//! Rejected: a lock or a sequence number per event. Both cost the writer more, and a killed process would keep
//! the lock.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::panic::Location;
use std::sync::atomic::{Ordering, fence};

use super::event::{
    FLAG_LOST, FORMAT, Kind, LOST_TEXT, MAGIC, first_word, half, second_word, word,
};
use super::recording::Recording;
use crate::sys::mapping::Mapping;

/// Bytes of the header, and the unit of the size of the texts.
const PAGE: usize = 4096;
/// The bytes of a text that are kept.
const LONGEST_TEXT: usize = 1024;

pub(super) struct Ring {
    mapping: Mapping,
    /// Index of the first event among the words of the mapping.
    events: usize,
    /// Capacity less one.
    mask: usize,
    head: u64,
    texts: Texts,
}

/// What is in the texts area.
#[derive(Default)]
struct Texts {
    /// Bytes of the area, and how many are used.
    size: usize,
    used: usize,
    /// The number of the last text.
    last: u32,
    /// Whether a text did not fit.
    lost: bool,
    /// Numbers by address: of a place, or of a string and its length.
    by_address: HashMap<(usize, usize), u32, BuildHasherDefault<AddressHasher>>,
    by_content: HashMap<Box<str>, u32>,
}

impl Ring {
    /// Maps the memory and writes the header.
    ///
    /// # Errors
    ///
    /// The errors of making the file or the mapping.
    pub(super) fn new(recording: &Recording) -> io::Result<Self> {
        let texts = recording.texts;
        let (events_at, capacity) = (PAGE + texts, recording.events);
        let size = events_at + capacity * 16;
        let mapping = match &recording.path {
            Some(path) => Mapping::of_file(path, size)?,
            None => Mapping::anonymous(c"wakeful-trace", size)?,
        };
        let ring = Ring {
            mapping,
            events: events_at / 8,
            mask: capacity - 1,
            head: 0,
            texts: Texts {
                size: texts,
                ..Texts::default()
            },
        };
        ring.set_pair(word::FORMAT, FORMAT, std::process::id());
        ring.set(word::CAPACITY, capacity as u64);
        ring.set(word::TEXTS, PAGE as u64);
        ring.set(word::TEXTS_SIZE, texts as u64);
        ring.set(word::EVENTS, events_at as u64);
        Ok(ring)
    }

    /// Publishes the header: a reader takes a mapping without these bytes for no recording.
    pub(super) fn publish(&self) {
        let magic = u64::from_ne_bytes(MAGIC);
        self.mapping.words()[word::MAGIC / 8].store(magic, Ordering::Release);
    }

    /// Sets a word of the header.
    #[inline]
    pub(super) fn set(&self, offset: usize, value: u64) {
        self.mapping.words()[offset / 8].store(value.to_le(), Ordering::Relaxed);
    }

    /// Sets the two halves of a word of the header.
    pub(super) fn set_pair(&self, offset: usize, low: u32, high: u32) {
        self.set(offset, second_word(low, high));
    }

    /// Returns the last request of a reader.
    pub(super) fn request(&self) -> u32 {
        let request = self.mapping.halves()[half::REQUEST / 4].load(Ordering::Relaxed);
        u32::from_le(request)
    }

    /// Publishes the request that was answered.
    pub(super) fn set_answered(&self, request: u32) {
        let answered = &self.mapping.halves()[half::ANSWERED / 4];
        answered.store(request.to_le(), Ordering::Release);
    }

    /// Appends an event.
    #[inline]
    pub(super) fn push(&mut self, time: u64, kind: Kind, a: u8, x: u32, y: u32) {
        let words = self.mapping.words();
        let slot = self.events + 2 * (self.head as usize & self.mask);
        // Steps 1 to 3 of the header.
        fence(Ordering::Release);
        words[slot].store(first_word(time, kind, a).to_le(), Ordering::Relaxed);
        words[slot + 1].store(second_word(x, y).to_le(), Ordering::Relaxed);
        self.head += 1;
        words[word::HEAD / 8].store(self.head.to_le(), Ordering::Release);
    }

    /// Returns the number of events that are kept.
    pub(super) fn capacity(&self) -> usize {
        self.mask + 1
    }

    /// Returns whether an event was overwritten.
    pub(super) fn has_overwritten(&self) -> bool {
        self.head > self.capacity() as u64
    }

    /// Returns whether a text did not fit.
    pub(super) fn has_lost_text(&self) -> bool {
        self.texts.lost
    }

    /// Returns the number of a place in the source.
    pub(super) fn place(&mut self, place: &'static Location<'static>) -> u32 {
        let address = (std::ptr::from_ref(place).addr(), usize::MAX);
        self.intern(address, || Cow::Owned(place.to_string()))
    }

    /// Returns the number of a text of the program.
    pub(super) fn static_text(&mut self, text: &'static str) -> u32 {
        let address = (text.as_ptr().addr(), text.len());
        self.intern(address, || Cow::Borrowed(text))
    }

    /// Returns the number of any other text. It has to fit into the first half of the area.
    pub(super) fn text(&mut self, text: &str) -> u32 {
        self.find_or_append(text, self.texts.size / 2)
    }

    #[inline]
    fn intern(&mut self, address: (usize, usize), text: impl FnOnce() -> Cow<'static, str>) -> u32 {
        if let Some(number) = self.texts.by_address.get(&address) {
            return *number;
        }
        let number = self.find_or_append(&text(), self.texts.size);
        self.texts.by_address.insert(address, number);
        number
    }

    #[cold]
    fn find_or_append(&mut self, text: &str, limit: usize) -> u32 {
        let text = cut(text);
        if let Some(number) = self.texts.by_content.get(text) {
            return *number;
        }
        let padded = 4 + text.len().next_multiple_of(4);
        if self.texts.used + padded > limit {
            self.texts.lost = true;
            return LOST_TEXT;
        }
        let area = &self.mapping.halves()[(PAGE + self.texts.used) / 4..];
        area[0].store((text.len() as u32).to_le(), Ordering::Relaxed);
        for (half, bytes) in area[1..].iter().zip(text.as_bytes().chunks(4)) {
            let mut padded = [0; 4];
            padded[..bytes.len()].copy_from_slice(bytes);
            half.store(u32::from_ne_bytes(padded), Ordering::Relaxed);
        }
        self.texts.used += padded;
        self.texts.last += 1;
        self.texts.by_content.insert(text.into(), self.texts.last);
        let used = &self.mapping.words()[word::TEXTS_USED / 8];
        used.store((self.texts.used as u64).to_le(), Ordering::Release);
        self.texts.last
    }

    /// Sets the unit of times, and the flags besides that of lost texts.
    pub(super) fn set_unit(&self, unit: u32, flags: u32) {
        let lost = if self.texts.lost { FLAG_LOST } else { 0 };
        self.set_pair(word::UNIT, unit, flags | lost);
    }

    /// Copies the recording.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let words = self.mapping.words().iter();
        words
            .flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes())
            .collect()
    }
}

/// Returns the beginning of a text, at most [`LONGEST_TEXT`] bytes.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(LONGEST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Hashes addresses, which are no user's input, in a few instructions.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        // The table uses the lowest and the highest bits.
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.write_usize((*byte).into()));
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        // The golden ratio, as in Knuth's multiplicative hashing.
        let mixed = self.0.rotate_left(5) ^ value as u64;
        self.0 = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
