//! Several recordings on one time axis: those of several programs, or of several runtimes of one.
//!
//! A merged [`Trace`] has the runtimes of all, and each event has the number of its runtime. So every output shows
//! it as it shows one recording, with a name before each task.

use std::collections::HashMap;

use crate::format::TEXT_LOST;
use crate::read::{Event, Trace, has_a_text};

/// Names that a title lists.
const NAMES: usize = 4;

impl Trace {
    /// Returns several recordings as one, each with a name: that of its program, host or file. Recordings with the
    /// same name share lanes, unless they overlap in time. `None` if there are none.
    ///
    /// Their times have to be on one axis, see [`map_times`](Self::map_times).
    ///
    /// ```
    /// # let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small.wtr")).unwrap();
    /// # let (one, other) = (bytes.clone(), bytes);
    /// use wakeful_trace::{Format, Trace};
    ///
    /// let mut later = Trace::from_bytes(&other)?;
    /// later.map_times(|ns| ns + 5_000_000);
    /// let parts = [("server", Trace::from_bytes(&one)?), ("client", later)];
    /// let merged = Trace::merge(parts.map(|(name, trace)| (name.to_owned(), trace)));
    /// let page = Format::Html.render(&merged.expect("two recordings"));
    /// # assert!(page.starts_with(b"<!DOCTYPE html>"));
    /// # Ok::<(), wakeful_trace::Error>(())
    /// ```
    pub fn merge(parts: impl IntoIterator<Item = (String, Self)>) -> Option<Self> {
        let parts = by_name_and_time(parts.into_iter().collect());
        let (_, first) = parts.first()?;
        let mut merged = Self {
            events: Vec::new(),
            texts: Vec::new(),
            runtimes: Vec::new(),
            notes: Vec::new(),
            warnings: Vec::new(),
            capacity: 0,
            written: 0,
            first: 0,
            ended: true,
            ..*first
        };
        let mut texts = Texts::default();
        let mut events = Vec::new();
        for (name, part) in parts {
            events.extend(part.renumbered(merged.runtimes.len() as u32, &mut texts));
            for mut runtime in part.runtimes {
                if runtime.name.is_empty() {
                    runtime.name.clone_from(&name);
                }
                merged.runtimes.push(runtime);
            }
            merged.notes.extend(part.notes);
            let warnings = part.warnings.iter();
            merged
                .warnings
                .extend(warnings.map(|warning| format!("{name}: {warning}")));
            merged.capacity = merged.capacity.saturating_add(part.capacity);
            merged.written = merged.written.saturating_add(part.written);
            merged.first = merged.first.saturating_add(part.first);
            merged.wall_clock = merged.wall_clock.min(part.wall_clock);
            merged.ended &= part.ended;
        }
        events.sort_by_key(|(time, _)| *time);
        merged.events = events.into_iter().map(|(_, event)| event).collect();
        merged.texts = texts.list;
        Some(merged)
    }

    /// Changes all times by a function that keeps their order, for example by an offset.
    pub fn map_times(&mut self, map: impl Fn(u64) -> u64) {
        for event in &mut self.events {
            event.time = map(event.time);
        }
        for runtime in &mut self.runtimes {
            (runtime.begin, runtime.end) = (map(runtime.begin), map(runtime.end));
        }
        for note in &mut self.notes {
            (note.begin, note.end) = (map(note.begin), map(note.end));
        }
    }

    /// Returns what the trace is of: the runtime and its process, or the names of those that were merged.
    pub fn title(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for runtime in &self.runtimes {
            if !names.contains(&runtime.name.as_str()) {
                names.push(&runtime.name);
            }
        }
        match (names.len(), names.first()) {
            (0, _) | (1, Some(&"")) => {
                format!("runtime {} of process {}", self.runtime, self.pid)
            }
            (count, _) if count > NAMES => {
                let more = count - NAMES;
                format!("{} and {more} more", names[..NAMES].join(", "))
            }
            _ => names.join(", "),
        }
    }

    /// Returns the title of a page or a picture.
    pub(crate) fn headline(&self) -> String {
        match &self.runtimes[..] {
            [runtime] if runtime.name.is_empty() => {
                format!("Wakeful runtime {}, process {}", self.runtime, self.pid)
            }
            _ => format!("Wakeful: {}", self.title()),
        }
    }

    /// Returns the events with the numbers that they have in a merged trace. Each has the time by which it is
    /// sorted: the order in which a runtime has written them stays.
    fn renumbered(&self, runtimes: u32, texts: &mut Texts) -> Vec<(u64, Event)> {
        let numbers: Vec<u32> = self.texts.iter().map(|text| texts.number(text)).collect();
        let number = |old: u32| match old {
            0 => 0,
            _ => numbers.get(old as usize - 1).copied().unwrap_or(TEXT_LOST),
        };
        let mut latest = vec![0; self.runtimes.len()];
        let mut events = Vec::with_capacity(self.events.len());
        for event in &self.events {
            let mut event = *event;
            let Some(latest) = latest.get_mut(event.runtime as usize) else {
                continue;
            };
            *latest = event.time.max(*latest);
            event.runtime += runtimes;
            if has_a_text(event.kind) {
                event.y = number(event.y);
            }
            events.push((*latest, event));
        }
        events
    }
}

/// Sorts recordings: those of one name are beside each other, in the order of time.
fn by_name_and_time(parts: Vec<(String, Trace)>) -> Vec<(String, Trace)> {
    let mut places = HashMap::new();
    for (name, _) in &parts {
        let place = places.len();
        places.entry(name.clone()).or_insert(place);
    }
    let mut parts = parts;
    parts.sort_by_key(|(name, trace)| (places.get(name).copied(), trace.begin()));
    parts
}

/// The texts of a merged trace, each once.
#[derive(Default)]
struct Texts {
    list: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        self.list.push(text.to_owned());
        let number = self.list.len() as u32;
        self.numbers.insert(text.to_owned(), number);
        number
    }
}
