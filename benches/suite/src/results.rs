//! The results of one part and their file: samples, and the conditions under which they were taken.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::part::Part;
use crate::record::Sample;

/// Results of one part.
#[derive(Clone, Debug)]
pub(crate) struct Results {
    pub(crate) part: Part,
    pub(crate) quick: bool,
    pub(crate) rounds: u32,
    pub(crate) took_seconds: u64,
    pub(crate) machine: Machine,
    /// Explanations for the reader of the tables.
    pub(crate) notes: Vec<String>,
    /// Failed measurements, each with its reason.
    pub(crate) failures: Vec<String>,
    pub(crate) samples: Vec<Sample>,
}

/// Format of the file.
#[derive(Debug, Deserialize, Serialize)]
struct File {
    part: Part,
    quick: bool,
    rounds: u32,
    took_seconds: u64,
    machine: Machine,
    notes: Vec<String>,
    failures: Vec<String>,
    series: Vec<Line>,
}

/// Samples that differ only in the round: one line of the file.
#[derive(Debug, Deserialize, Serialize)]
struct Line {
    case: String,
    x: f64,
    contestant: String,
    metric: String,
    /// Values by round; null for a round without this contestant.
    values: Vec<Option<f64>>,
}

impl Results {
    /// Writes the file of this part, and replaces an existing one.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written.
    pub(crate) fn save(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let file = directory.join(self.part.name()).with_extension("json");
        let lines = lines(&self.samples);
        let lines: Result<Vec<String>, _> = lines.iter().map(serde_json::to_string).collect();
        let head = File {
            part: self.part,
            quick: self.quick,
            rounds: self.rounds,
            took_seconds: self.took_seconds,
            machine: self.machine.clone(),
            notes: self.notes.clone(),
            failures: self.failures.clone(),
            series: Vec::new(),
        };
        let text = serde_json::to_string_pretty(&head)?;
        // One line per series keeps diffs of the file readable.
        let series = format!("\"series\": [\n{}\n]", lines?.join(",\n"));
        fs::write(file, text.replace("\"series\": []", &series) + "\n")
    }

    /// Reads the existing files of all parts.
    ///
    /// # Errors
    ///
    /// Returns an error if a file exists but cannot be read.
    pub(crate) fn load_all(directory: &Path) -> io::Result<Vec<Results>> {
        let mut all = Vec::new();
        for part in Part::all(&[]) {
            let file = directory.join(part.name()).with_extension("json");
            if file.exists() {
                let file: File = serde_json::from_str(&fs::read_to_string(file)?)?;
                all.push(file.into());
            }
        }
        Ok(all)
    }
}

/// Groups samples that differ only in the round, ordered by their first sample.
fn lines(samples: &[Sample]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut places = HashMap::new();
    for sample in samples {
        let Sample {
            case,
            x,
            contestant,
            metric,
            round,
            value,
        } = sample;
        let place = *places
            .entry((case, x.to_bits(), contestant, metric))
            .or_insert_with(|| {
                lines.push(Line {
                    case: case.clone(),
                    x: *x,
                    contestant: contestant.clone(),
                    metric: metric.clone(),
                    values: Vec::new(),
                });
                lines.len() - 1
            });
        let values = &mut lines[place].values;
        let round = *round as usize;
        values.resize(values.len().max(round + 1), None);
        values[round] = Some(*value);
    }
    lines
}

impl From<File> for Results {
    fn from(file: File) -> Results {
        let mut samples = Vec::new();
        for line in file.series {
            for (round, value) in (0..).zip(line.values) {
                samples.extend(value.map(|value| Sample {
                    case: line.case.clone(),
                    x: line.x,
                    contestant: line.contestant.clone(),
                    metric: line.metric.clone(),
                    round,
                    value,
                }));
            }
        }
        Results {
            part: file.part,
            quick: file.quick,
            rounds: file.rounds,
            took_seconds: file.took_seconds,
            machine: file.machine,
            notes: file.notes,
            failures: file.failures,
            samples,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_keep_their_rounds_when_they_are_read_back() {
        let sample = |round, value| Sample {
            case: "a".to_owned(),
            x: 0.0,
            contestant: "one".to_owned(),
            metric: "m".to_owned(),
            round,
            value,
        };
        let samples = [sample(0, 1.0), sample(2, 3.0)];
        let series = lines(&samples);
        assert_eq!(series.len(), 1);
        assert_eq!(series[0].values, [Some(1.0), None, Some(3.0)]);
        let file = File {
            part: Part::Echo,
            quick: true,
            rounds: 3,
            took_seconds: 0,
            machine: Machine::default(),
            notes: Vec::new(),
            failures: Vec::new(),
            series,
        };
        assert_eq!(Results::from(file).samples, samples);
    }
}
