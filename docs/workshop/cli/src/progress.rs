//! What the learner has done, in `my/progress`: lines of a word, a stage and a number.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Problem, layout};

const FILE: &str = "my/progress";

/// The file's lines.
#[derive(Default)]
pub(crate) struct Progress(Vec<(String, u32, u64)>);

impl Progress {
    /// Reads the file; a line that cannot be read is left out.
    pub(crate) fn load() -> Progress {
        let text = layout::read(FILE).unwrap_or_default();
        let parse = |line: &str| {
            let mut words = line.split(' ');
            let word = words.next()?.to_owned();
            Some((word, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        };
        Progress(text.lines().filter_map(parse).collect())
    }

    /// Returns a number of a stage.
    pub(crate) fn get(&self, word: &str, stage: u32) -> Option<u64> {
        self.0.iter().find(|line| line.0 == word && line.1 == stage).map(|line| line.2)
    }

    /// Sets a number of a stage and writes the file.
    pub(crate) fn set(&mut self, word: &str, stage: u32, number: u64) -> Result<(), Problem> {
        self.0.retain(|line| line.0 != word || line.1 != stage);
        self.0.push((word.to_owned(), stage, number));
        self.write()
    }

    /// Forgets a number of a stage and writes the file.
    pub(crate) fn forget(&mut self, word: &str, stage: u32) -> Result<(), Problem> {
        self.0.retain(|line| line.0 != word || line.1 != stage);
        self.write()
    }

    fn write(&self) -> Result<(), Problem> {
        let lines: String = self
            .0
            .iter()
            .map(|(word, stage, number)| format!("{word} {stage} {number}\n"))
            .collect();
        layout::write(FILE, &lines)
    }

    /// Returns the stage that was started last.
    pub(crate) fn current(&self) -> Option<u32> {
        self.0.iter().filter(|line| line.0 == "current").map(|line| line.1).next_back()
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
