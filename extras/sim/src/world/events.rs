//! What happened in a run, as a 64-bit hash, and as a list if a run is compared with another.

use std::fmt;

/// One event. Descriptors are numbers of the simulation, because the kernel's depend on other threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) at_ns: u64,
    pub(crate) what: &'static str,
    pub(crate) socket: u64,
    pub(crate) value: i64,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Event {
            at_ns,
            what,
            socket,
            value,
        } = self;
        match socket {
            // Sockets are numbered from 1.
            0 if *value == 0 => write!(f, "at {at_ns} ns: {what}"),
            0 => write!(f, "at {at_ns} ns: {what} {value}"),
            _ => write!(f, "at {at_ns} ns: {what} of socket {socket}: {value}"),
        }
    }
}

/// The events of a run.
#[derive(Debug, Default)]
pub(crate) struct Events {
    hash: u64,
    /// `None` if only the hash is wanted.
    list: Option<Vec<Event>>,
}

impl Events {
    pub(crate) fn new(keep: bool) -> Self {
        Self {
            hash: 0,
            list: keep.then(Vec::new),
        }
    }

    pub(crate) fn push(&mut self, event: Event) {
        let mut mixed = self.hash;
        for number in [event.at_ns, event.socket, event.value as u64] {
            mixed = mix(mixed, number);
        }
        self.hash = words(event.what).fold(mixed, mix);
        if let Some(list) = &mut self.list {
            list.push(event);
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn take_list(&mut self) -> Vec<Event> {
        self.list.take().unwrap_or_default()
    }
}

/// Adds a number to a hash. By words, because a run has hundreds of events: FNV-1a by bytes takes six times as long.
pub(super) fn mix(hash: u64, number: u64) -> u64 {
    let mixed = (hash ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 32)
}

/// Returns the bytes of a text as words. The last one is filled up with zeros.
pub(super) fn words(text: &str) -> impl Iterator<Item = u64> {
    // A word by its bytes, because a copy of so many is a call.
    let word = |part: &[u8]| part.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    text.as_bytes().chunks(8).map(word)
}

/// Returns the first difference of two lists, as text.
pub(crate) fn difference(first: &[Event], second: &[Event]) -> Option<String> {
    let at = first
        .iter()
        .zip(second)
        .position(|(one, other)| one != other);
    let at = at.unwrap_or(first.len().min(second.len()));
    let (one, other) = (first.get(at), second.get(at));
    if one == other {
        return None;
    }
    let text = |event: Option<&Event>| event.map_or("the end".to_owned(), Event::to_string);
    Some(format!(
        "event {at} was `{}`, then `{}`",
        text(one),
        text(other)
    ))
}
