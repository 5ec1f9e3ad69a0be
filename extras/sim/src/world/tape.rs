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
    /// Value and number of possibilities, by stream and place in it.
    choices: BTreeMap<(String, u64), (u32, u32)>,
}

impl Tape {
    pub(crate) fn new(test: &str, seed: Option<u64>) -> Self {
        Self {
            test: test.to_owned(),
            seed,
            choices: BTreeMap::new(),
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
        self.choices.len()
    }

    /// Returns whether every choice was plain.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.choices.is_empty()
    }

    pub(crate) fn get(&self, stream: &str, index: u64) -> u32 {
        let found = self.choices.get(&(stream.to_owned(), index));
        found.map_or(0, |(value, _)| *value)
    }

    /// Returns stream and index of each choice.
    pub(crate) fn places(&self) -> Vec<(String, u64)> {
        self.choices.keys().cloned().collect()
    }

    /// Returns the names of the streams that have choices.
    pub(crate) fn streams(&self) -> BTreeSet<String> {
        self.choices.keys().map(|(name, _)| name.clone()).collect()
    }

    /// Returns a tape with some of the choices.
    pub(crate) fn filtered(&self, keep: impl Fn(&(String, u64)) -> bool) -> Self {
        let mut tape = self.clone();
        tape.choices.retain(|place, _| keep(place));
        tape
    }

    /// Returns a tape with another value of one choice.
    pub(crate) fn with(&self, place: &(String, u64), value: u32) -> Self {
        let mut tape = self.clone();
        if let Some(choice) = tape.choices.get_mut(place) {
            choice.0 = value;
        }
        tape
    }

    /// Returns the first choice that another tape has not, or has otherwise, as text.
    pub(crate) fn difference(&self, other: &Tape) -> Option<String> {
        let places: BTreeSet<_> = self.choices.keys().chain(other.choices.keys()).collect();
        let (stream, index) = places
            .into_iter()
            .find(|place| self.choices.get(*place) != other.choices.get(*place))?;
        let (one, two) = (self.get(stream, *index), other.get(stream, *index));
        Some(format!(
            "the choice `{stream} {index}` was {one}, then {two}"
        ))
    }

    /// Returns a measure of how far the run is from a plain one: first the number of choices, then the sum
    /// of their values.
    pub(crate) fn weight(&self) -> (usize, u64) {
        let values = self.choices.values().map(|(value, _)| u64::from(*value));
        (self.len(), values.sum())
    }

    pub(crate) fn push(&mut self, stream: &str, index: u64, value: u32, of: u32) {
        self.choices.insert((stream.to_owned(), index), (value, of));
    }
}

impl fmt::Display for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}\ntest {}", self.test)?;
        if let Some(seed) = self.seed {
            writeln!(f, "seed {seed:#x}")?;
        }
        for ((stream, index), (value, of)) in &self.choices {
            writeln!(f, "{stream} {index} = {value} of {of}")?;
        }
        Ok(())
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
        Ok(tape)
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
