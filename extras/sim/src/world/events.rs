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

    #[inline]
    pub(crate) fn push(&mut self, event: Event) {
        let mut mixed = self.hash;
        for number in [event.at_ns, event.socket, event.value as u64] {
            mixed = mix(mixed, number);
        }
        self.hash = mix_text(mixed, event.what);
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
#[inline]
pub(super) fn mix(hash: u64, number: u64) -> u64 {
    let mixed = (hash ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 32)
}

/// Adds the bytes of a text to a hash, eight at a time. The compiler knows the words of most texts.
#[inline]
fn mix_text(mut hash: u64, text: &str) -> u64 {
    let mut word = 0;
    for (place, byte) in text.bytes().enumerate() {
        word |= u64::from(byte) << (place % 8 * 8);
        if place % 8 == 7 || place + 1 == text.len() {
            hash = mix(hash, word);
            word = 0;
        }
    }
    hash
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
