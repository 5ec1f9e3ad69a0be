//! Other solutions: changes of the reference. Wrong ones name the id that they must get. Right ones must be
//! green, so that a check accepts more than the reference.

use crate::stage::{Files, Stage};
use crate::{Problem, layout};

/// A wrong solution, or a right one.
pub(crate) struct Wrong {
    pub(crate) name: String,
    /// The id of the first failure; `green` for a right one.
    pub(crate) id: String,
    /// Why a learner writes this.
    pub(crate) why: String,
    changes: Vec<Change>,
}

#[derive(Default)]
struct Change {
    file: String,
    find: String,
    replace: String,
}

/// Reads the wrong solutions of a stage.
pub(crate) fn all(stage: &Stage) -> Result<Vec<Wrong>, Problem> {
    read(stage, "wrong")
}

/// Reads the right solutions beside the reference.
pub(crate) fn right(stage: &Stage) -> Result<Vec<Wrong>, Problem> {
    read(stage, "right")
}

/// Reads the changes in a folder of a stage.
pub(crate) fn read(stage: &Stage, folder: &str) -> Result<Vec<Wrong>, Problem> {
    let names = layout::names(&stage.path(folder));
    names.into_iter().map(|name| parse(stage, folder, &name)).collect()
}

/// Parses `id: ..`, `why: ..`, then changes: `--- FILE`, lines to find, `+++`, lines instead.
fn parse(stage: &Stage, folder: &str, name: &str) -> Result<Wrong, Problem> {
    let path = stage.path(&format!("{folder}/{name}"));
    let text = layout::read(&path)?;
    let mut wrong =
        Wrong { name: name.to_owned(), id: String::new(), why: String::new(), changes: Vec::new() };
    let mut replacing = false;
    for line in text.lines() {
        if let Some(file) = line.strip_prefix("--- ") {
            wrong.changes.push(Change { file: file.to_owned(), ..Change::default() });
            replacing = false;
        } else if line == "+++" {
            replacing = true;
        } else if let Some(change) = wrong.changes.last_mut() {
            let part = if replacing { &mut change.replace } else { &mut change.find };
            part.push_str(line);
            part.push('\n');
        } else if let Some(id) = line.strip_prefix("id: ") {
            id.clone_into(&mut wrong.id);
        } else if let Some(why) = line.strip_prefix("why: ") {
            why.clone_into(&mut wrong.why);
        }
    }
    match wrong.id.is_empty() || wrong.why.is_empty() || wrong.changes.is_empty() {
        true => Err(format!("{path}: needs `id:`, `why:` and a change")),
        false => Ok(wrong),
    }
}

impl Wrong {
    /// Returns the reference with the mistake.
    pub(crate) fn apply(&self, stage: &Stage) -> Result<Files, Problem> {
        self.apply_to(stage.solution()?, &self.place(stage))
    }

    /// Returns files with the changes, which are in `place`.
    pub(crate) fn apply_to(&self, mut files: Files, place: &str) -> Result<Files, Problem> {
        for change in &self.changes {
            let text = files
                .get_mut(&change.file)
                .ok_or_else(|| format!("{place}: there is no file {}", change.file))?;
            let count = text.matches(&change.find).count();
            if change.find.is_empty() || count != 1 {
                return Err(format!(
                    "{place}: the reference contains these lines {count} times, not once:\n{}",
                    change.find
                ));
            }
            *text = text.replace(&change.find, &change.replace);
        }
        Ok(files)
    }

    fn place(&self, stage: &Stage) -> String {
        let folder = if self.id == "green" { "right" } else { "wrong" };
        stage.path(&format!("{folder}/{}", self.name))
    }
}
