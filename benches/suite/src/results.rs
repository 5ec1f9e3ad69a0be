//! The results of one part, as they are kept in a file: raw numbers, and under which conditions they
//! were taken.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::parts::Part;
use crate::record::Sample;

/// What one part has measured.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Results {
    pub(crate) part: Part,
    pub(crate) quick: bool,
    pub(crate) rounds: u32,
    pub(crate) took_seconds: u64,
    pub(crate) machine: Machine,
    /// What a reader has to know to understand the numbers.
    pub(crate) notes: Vec<String>,
    /// What could not be measured, and why.
    pub(crate) failures: Vec<String>,
    pub(crate) samples: Vec<Sample>,
}

impl Results {
    /// Writes the file of this part, in place of what it held.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(crate) fn save(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let file = directory.join(self.part.name()).with_extension("json");
        // One number per line, so that a change of the file can be read.
        let lines: Result<Vec<String>, _> =
            self.samples.iter().map(serde_json::to_string).collect();
        let empty = Results {
            samples: Vec::new(),
            ..self.clone()
        };
        let text = serde_json::to_string_pretty(&empty)?;
        let samples = format!("\"samples\": [\n{}\n]", lines?.join(",\n"));
        fs::write(file, text.replace("\"samples\": []", &samples) + "\n")
    }

    /// Reads the files of all parts that have one.
    ///
    /// # Errors
    ///
    /// When a file is there and cannot be read.
    pub(crate) fn load_all(directory: &Path) -> io::Result<Vec<Results>> {
        let mut all = Vec::new();
        for part in Part::all(&[]) {
            let file = directory.join(part.name()).with_extension("json");
            if file.exists() {
                all.push(serde_json::from_str(&fs::read_to_string(file)?)?);
            }
        }
        Ok(all)
    }
}
