//! The choices of a run that were not plain, as text that can be kept.
//!
//! ```text
//! wakeful-sim tape 1
//! test every_line_comes_back
//! seed 0x1f3a
//! order 118 = 2 of 5
//! hold 119 = 1 of 2
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

const HEADER: &str = "wakeful-sim tape 1";

/// The choices of a run that were not the plain ones. Its text can be kept in a file, and repeats the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tape {
    test: String,
    seed: Option<u64>,
    /// The choices of each stream that has some, by their place in it.
    streams: BTreeMap<String, Vec<Made>>,
}

/// A choice of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    /// Place in the stream. The first choice of a stream has 1.
    pub(crate) index: u64,
    pub(crate) value: u32,
    /// The number of possibilities.
    pub(crate) of: u32,
}

impl Tape {
    pub(crate) fn new(test: &str, seed: Option<u64>) -> Self {
        Self {
            test: test.to_owned(),
            seed,
            streams: BTreeMap::new(),
        }
    }

    /// Returns the name of the test whose run it is.
    #[must_use]
    pub fn test(&self) -> &str {
        &self.test
    }

    /// Returns the seed that the choices come from, if they come from one.
    #[must_use]
    pub fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// Returns the number of choices.
    #[must_use]
    pub fn len(&self) -> usize {
        self.streams.values().map(Vec::len).sum()
    }

    /// Returns whether every choice was plain.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    pub(crate) fn get(&self, stream: &str, index: u64) -> u32 {
        self.find(stream, index).map_or(0, |made| made.value)
    }

    fn find(&self, stream: &str, index: u64) -> Option<&Made> {
        let made = self.streams.get(stream)?;
        let place = made.binary_search_by_key(&index, |made| made.index);
        place.ok().map(|place| &made[place])
    }

    fn all(&self) -> impl Iterator<Item = (&str, &Made)> {
        let streams = self.streams.iter();
        streams.flat_map(|(name, made)| made.iter().map(move |made| (name.as_str(), made)))
    }

    /// Returns stream and index of each choice.
    pub(crate) fn places(&self) -> Vec<(String, u64)> {
        let place = |(name, made): (&str, &Made)| (name.to_owned(), made.index);
        self.all().map(place).collect()
    }

    /// Returns the names of the streams that have choices.
    pub(crate) fn streams(&self) -> BTreeSet<String> {
        self.streams.keys().cloned().collect()
    }

    /// Returns each choice as text: `order 118 = 2 of 5`.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |(name, made): (&str, &Made)| {
            format!("{name} {} = {} of {}", made.index, made.value, made.of)
        };
        self.all().map(line).collect()
    }

    /// Returns a tape with some of the choices.
    pub(crate) fn filtered(&self, keep: impl Fn(&(String, u64)) -> bool) -> Self {
        let mut tape = Self::new(&self.test, self.seed);
        for (name, made) in self.all() {
            if keep(&(name.to_owned(), made.index)) {
                tape.push(name, made.index, made.value, made.of);
            }
        }
        tape
    }

    /// Returns a tape with another value of one choice.
    pub(crate) fn with(&self, place: &(String, u64), value: u32) -> Self {
        let mut tape = self.clone();
        let (name, index) = place;
        if let Some(made) = self.find(name, *index) {
            tape.push(name, *index, value, made.of);
        }
        tape
    }

    /// Returns the first choice that another tape has not, or has otherwise, as text.
    pub(crate) fn difference(&self, other: &Tape) -> Option<String> {
        let places = [self.places(), other.places()].concat();
        let places: BTreeSet<_> = places.into_iter().collect();
        let (stream, index) = places
            .into_iter()
            .find(|(name, index)| self.find(name, *index) != other.find(name, *index))?;
        let (one, two) = (self.get(&stream, index), other.get(&stream, index));
        Some(format!(
            "the choice `{stream} {index}` was {one}, then {two}"
        ))
    }

    /// Returns a measure of how far the run is from a plain one: first the number of choices, then the sum
    /// of their values.
    pub(crate) fn weight(&self) -> (usize, u64) {
        let values = self.all().map(|(_, made)| u64::from(made.value));
        (self.len(), values.sum())
    }

    /// Sets a choice.
    pub(crate) fn push(&mut self, stream: &str, index: u64, value: u32, of: u32) {
        let made = self.streams.entry(stream.to_owned()).or_default();
        let choice = Made { index, value, of };
        match made.binary_search_by_key(&index, |made| made.index) {
            Ok(place) => made[place] = choice,
            Err(place) => made.insert(place, choice),
        }
    }

    /// Sets the choices of a stream, which are in order.
    pub(crate) fn push_all(&mut self, stream: &str, made: &[Made]) {
        if !made.is_empty() {
            self.streams.insert(stream.to_owned(), made.to_vec());
        }
    }
}

impl fmt::Display for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}\ntest {}", self.test)?;
        if let Some(seed) = self.seed {
            writeln!(f, "seed {seed:#x}")?;
        }
        self.lines()
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Tape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        if lines.next() != Some(HEADER) {
            return Err(format!("a tape begins with the line `{HEADER}`"));
        }
        let mut tape = Tape::new("", None);
        for (number, line) in lines.enumerate() {
            let wrong = || {
                format!(
                    "line {} of the tape is `{line}`: expected `test NAME`, `seed 0x1f3a` or \
                     `stream 118 = 2 of 5`",
                    number + 2
                )
            };
            // A comment ends the line.
            let line = line.split('#').next().unwrap_or("").trim();
            if line.is_empty() {
                continue;
            }
            if let Some(test) = line.strip_prefix("test ") {
                test.clone_into(&mut tape.test);
            } else if let Some(seed) = line.strip_prefix("seed 0x") {
                tape.seed = Some(u64::from_str_radix(seed, 16).map_err(|_| wrong())?);
            } else {
                let (stream, index, value, of) = parse_choice(line).ok_or_else(wrong)?;
                tape.push(stream, index, value, of);
            }
        }
        match tape.test.is_empty() {
            true => Err("the tape has no line `test NAME`".to_owned()),
            false => Ok(tape),
        }
    }
}

/// Parses `stream 118 = 2 of 5`. The name of a stream can contain spaces.
fn parse_choice(line: &str) -> Option<(&str, u64, u32, u32)> {
    let (place, value) = line.split_once(" = ")?;
    let (stream, index) = place.rsplit_once(' ')?;
    let (value, of) = value.split_once(" of ")?;
    let (value, of) = (value.parse().ok()?, of.parse().ok()?);
    (value < of).then_some((stream.trim(), index.parse().ok()?, value, of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_tape_is_read_back() {
        let mut tape = Tape::new("a::test", Some(0x1f3a));
        tape.push("order", 118, 2, 5);
        tape.push("delay client 2", 991, 7, 64);
        let text = tape.to_string();
        assert_eq!(text.parse(), Ok(tape));
        let commented = text.replace("of 5", "of 5   # before the reader");
        assert_eq!(commented.parse::<Tape>().unwrap().to_string(), text);
    }

    #[test]
    fn a_line_that_is_no_choice_is_an_error_that_names_it() {
        for line in [
            "order",
            "order 1 = 2",
            "order x = 1 of 2",
            "order 1 = 5 of 5",
            "seed 0xg",
        ] {
            let text = format!("{HEADER}\ntest a\n{line}\n");
            let error = text.parse::<Tape>().unwrap_err();
            assert!(
                error.starts_with(&format!("line 3 of the tape is `{line}`")),
                "{error}"
            );
        }
        assert!("".parse::<Tape>().unwrap_err().contains(HEADER));
    }
}
