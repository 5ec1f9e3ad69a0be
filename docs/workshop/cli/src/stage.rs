//! The stages and their files.

use std::collections::BTreeMap;

use crate::source::{self, Blank};
use crate::{Problem, arguments, layout};

/// A stage.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Stage {
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    pub(crate) minutes: u32,
    /// The stage whose files this one continues.
    pub(crate) base: Option<u32>,
}

const fn stage(number: u32, name: &'static str, minutes: u32) -> Stage {
    Stage { number, name, minutes, base: None }
}

/// All stages, in order.
pub(crate) const STAGES: &[Stage] = &[
    stage(0, "run", 10),
    stage(1, "state", 25),
    stage(2, "block_on", 30),
    stage(3, "event", 30),
    stage(4, "executor", 40),
    stage(5, "join", 30),
    stage(6, "epoll", 45),
    Stage { base: Some(5), ..stage(7, "reactor", 50) },
    Stage { base: Some(7), ..stage(8, "timers", 40) },
    Stage { base: Some(8), ..stage(9, "inbox", 35) },
    stage(10, "cancel", 30),
    Stage { base: Some(9), ..stage(11, "serve", 50) },
    Stage { base: Some(9), ..stage(12, "hang", 35) },
    stage(13, "table", 40),
    Stage { base: Some(9), ..stage(14, "readiness", 35) },
    Stage { base: Some(14), ..stage(15, "fairness", 30) },
    stage(16, "test", 30),
    stage(17, "source", 60),
    stage(18, "complete", 40),
];

/// Files by name.
pub(crate) type Files = BTreeMap<String, String>;

impl Stage {
    /// Returns the stage with that number.
    pub(crate) fn find(number: u32) -> Result<Stage, Problem> {
        let found = STAGES.iter().find(|stage| stage.number == number).copied();
        found.ok_or_else(|| format!("there is no stage `{number}`: {}", arguments::range()))
    }

    /// Returns the name of its folders: `s04`.
    pub(crate) fn folder(&self) -> String {
        format!("s{:02}", self.number)
    }

    /// Returns a path in its folder.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("stages/{}/{name}", self.folder())
    }

    /// Returns the learner's folder.
    pub(crate) fn mine(&self) -> String {
        format!("my/{}", self.folder())
    }

    /// Returns all files of the reference, with those of the stages that it continues.
    pub(crate) fn solution(&self) -> Result<Files, Problem> {
        let mut files = match self.base {
            Some(base) => Stage::find(base)?.solution()?,
            None => Files::new(),
        };
        files.extend(read_files(&self.path("solution"))?);
        Ok(files)
    }

    /// Returns the files that the stage itself changes.
    pub(crate) fn own_solution(&self) -> Result<Files, Problem> {
        read_files(&self.path("solution"))
    }

    /// Returns the files of the start, as they are committed.
    pub(crate) fn own_start(&self) -> Result<Files, Problem> {
        read_files(&self.path("start"))
    }

    /// Returns all files of the start.
    pub(crate) fn start(&self) -> Result<Files, Problem> {
        let mut files = self.solution()?;
        files.extend(self.own_start()?);
        Ok(files)
    }

    /// Returns the functions that the learner writes.
    pub(crate) fn blanks(&self) -> Result<Vec<Blank>, Problem> {
        source::parse_blanks(&layout::read(&self.path("blanks.txt"))?)
    }

    /// Derives the start from the reference: the blanks replace the bodies of functions.
    pub(crate) fn derive_start(&self) -> Result<Files, Problem> {
        let mut files = self.own_solution()?;
        for blank in self.blanks()? {
            let text = files.get_mut(&blank.file).ok_or_else(|| {
                format!(
                    "stage {}: blanks.txt names {}, which is not there",
                    self.number, blank.file
                )
            })?;
            *text = source::replace_body(text, &blank.item, &blank.body)?;
        }
        Ok(files)
    }

    /// Returns the code lines that the learner writes, and those of all files when done.
    pub(crate) fn count_lines(&self) -> Result<(usize, usize), Problem> {
        let code =
            |files: &Files| files.values().map(|text| source::code_lines(text)).sum::<usize>();
        let whole = code(&self.solution()?);
        let solution = self.own_solution()?;
        let mut own = 0;
        for blank in self.blanks()? {
            let text = solution.get(&blank.file);
            own += text.map_or(0, |text| source::new_lines(text, &blank.item, &blank.body));
        }
        Ok((own, whole))
    }

    /// Returns the echo server that runs on its reference.
    pub(crate) fn echo(&self) -> String {
        let own = self.path("echo.rs");
        if layout::path(&own).is_file() { own } else { "stages/echo.rs".to_owned() }
    }

    /// Returns the page.
    pub(crate) fn page(&self) -> Result<String, Problem> {
        layout::read(&self.path("page.md"))
    }

    /// Returns the question in the page's title.
    pub(crate) fn question(&self) -> String {
        let page = self.page().unwrap_or_default();
        let title = page.lines().next().unwrap_or_default();
        title.split_once(". ").map_or(title, |(_, question)| question).to_owned()
    }
}

/// Reads the Rust files of a folder.
pub(crate) fn read_files(folder: &str) -> Result<Files, Problem> {
    let mut files = Files::new();
    for name in layout::names(folder) {
        if name.ends_with(".rs") {
            let text = layout::read(&format!("{folder}/{name}"))?;
            files.insert(name, text);
        }
    }
    Ok(files)
}
