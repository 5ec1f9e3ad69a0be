//! Shows what a check found.

use std::fmt::Write as _;

use crate::stage::{Files, Stage};
use crate::terminal::Style;

/// The width of the output.
const WIDTH: usize = 80;

/// Where values begin.
const INDENT: usize = 18;

/// Steps that are shown.
const STEPS: usize = 30;

/// What a failed case says.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) id: String,
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) section: String,
    pub(crate) function: String,
    pub(crate) expected: String,
    pub(crate) seen: String,
    /// The place of a panic in the learner's file.
    pub(crate) at: String,
    pub(crate) steps: Vec<String>,
    /// What follows `hint` in the command that it names: a number, unless the stage was started last.
    pub(crate) hint: String,
}

impl Report {
    /// Parses the lines that a check writes: a key, a tab, a value.
    pub(crate) fn parse(text: &str) -> Report {
        let mut report = Report::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once('\t')) {
            let field = match key {
                "id" => &mut report.id,
                "what" => &mut report.what,
                "why" => &mut report.why,
                "section" => &mut report.section,
                "function" => &mut report.function,
                "expected" => &mut report.expected,
                "seen" => &mut report.seen,
                "at" => &mut report.at,
                "step" => {
                    report.steps.push(value.to_owned());
                    continue;
                }
                _ => continue,
            };
            value.clone_into(field);
        }
        report
    }

    /// A failure that no diagnosis explains.
    pub(crate) fn unexplained(what: &str) -> Report {
        Report { id: "x".to_owned(), what: what.to_owned(), ..Report::default() }
    }

    /// Shows the failure of a learner's answer.
    pub(crate) fn show(&self, stage: &Stage, files: &Files, case: &str, style: &Style) -> String {
        let mut text = String::new();
        let id = if self.id == "x" { format!("{}.x", stage.number) } else { self.id.clone() };
        if id == format!("{}.0", stage.number) {
            let place = if self.at.is_empty() { "" } else { ": " };
            let place = format!("{place}{}", trim_column(&self.at));
            let _ = writeln!(text, "  {}  {id}  not written yet{place}", style.red("FAIL"));
            let _ = writeln!(text, "        {}", self.seen);
            lines_of_steps(&mut text, &self.steps);
            return text;
        }
        let _ = writeln!(text, "  {}  {id}  {}", style.red("FAIL"), self.what);
        line(&mut text, "case", case);
        lines_of_steps(&mut text, &self.steps);
        line(&mut text, "expected", &self.expected);
        line(&mut text, "seen", &self.seen);
        line(&mut text, "why", &self.why);
        line(&mut text, "look", &self.look(stage, files));
        text
    }

    fn look(&self, stage: &Stage, files: &Files) -> String {
        let mut parts = Vec::new();
        if !self.at.is_empty() {
            parts.push(trim_column(&self.at).to_owned());
        } else if let Some(place) = find_function(&written(stage), files, &self.function) {
            parts.push(format!("{}/{place} `{}`", stage.mine(), self.function));
        }
        if !self.section.is_empty() {
            parts.push(format!("page {}, \"{}\"", stage.number, self.section));
        }
        parts.push(format!("cargo workshop hint{}", self.hint));
        parts.join("; ")
    }
}

/// Removes the column from `file:line:column`.
fn trim_column(at: &str) -> &str {
    at.rsplit_once(':').map_or(at, |(place, _)| place)
}

/// Returns the functions that the learner writes, as `lib.rs: impl Core > fn spend`.
fn written(stage: &Stage) -> Vec<String> {
    let blanks = stage.blanks().unwrap_or_default();
    blanks.into_iter().map(|blank| format!("{}: {}", blank.file, blank.item)).collect()
}

/// Returns the place of a function: the one that the learner writes, if several have that name.
fn find_function(written: &[String], files: &Files, function: &str) -> Option<String> {
    if function.is_empty() {
        return None;
    }
    let starts = [format!("fn {function}("), format!("fn {function}<")];
    let find = |(name, text): (&String, &String)| {
        let is_it = |line: &str| starts.iter().any(|start| line.contains(start));
        let line = text.lines().position(is_it)?;
        Some(format!("{name}:{}", line + 1))
    };
    let own = |name: &str| {
        let is_it = |blank: &String| {
            blank.starts_with(&format!("{name}: ")) && blank.ends_with(&format!("fn {function}"))
        };
        written.iter().any(is_it)
    };
    let in_own = files.iter().filter(|(name, _)| own(name)).find_map(find);
    in_own.or_else(|| files.iter().find_map(find))
}

/// Numbers steps. Of many, the first and the last ones are shown.
fn number_steps(steps: &[String]) -> Vec<String> {
    let numbered = steps.iter().enumerate().map(|(n, step)| format!("{} {step}", n + 1));
    let mut parts: Vec<String> = numbered.collect();
    if parts.len() > STEPS {
        let left_out = parts.len() - STEPS;
        parts.splice(10..10 + left_out, [format!("({left_out} steps)")]);
    }
    parts
}

/// Adds a line with a label; what does not fit continues below.
fn line(text: &mut String, label: &str, value: &str) {
    let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
    fill(text, label, &words, " ");
}

/// Adds steps. A line is broken only between two of them.
fn lines_of_steps(text: &mut String, steps: &[String]) {
    let steps = number_steps(steps);
    fill(text, "steps", &steps.iter().map(String::as_str).collect::<Vec<_>>(), "   ");
}

fn fill(text: &mut String, label: &str, parts: &[&str], glue: &str) {
    if parts.is_empty() {
        return;
    }
    let mut current = format!("        {label:<10}");
    let mut empty = true;
    for part in parts {
        if !empty && current.len() + glue.len() + part.len() > WIDTH {
            text.push_str(&current);
            text.push('\n');
            current = " ".repeat(INDENT);
            empty = true;
        }
        if !empty {
            current.push_str(glue);
        }
        current.push_str(part);
        empty = false;
    }
    text.push_str(&current);
    text.push('\n');
}

/// Shows the first line of a result.
pub(crate) fn headline(stage: &Stage, passed: usize, of: usize) -> String {
    let left = format!("stage {}  {}", stage.number, stage.name);
    let right = format!("{passed} of {of}");
    format!("{left}{right:>width$}", width = WIDTH - left.len())
}

#[cfg(test)]
mod tests {
    use super::{Files, find_function};

    #[test]
    fn of_two_functions_the_one_that_the_learner_writes_is_named() {
        let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let files = Files::from([
            file("lib.rs", "fn turn(core: &Core) {}\nfn run<F>() {}\n"),
            file("reactor.rs", "impl Reactor {\n    fn turn(&self) {}\n}\n"),
        ]);
        let written = ["reactor.rs: impl Reactor > fn turn".to_owned()];
        let place = |function| find_function(&written, &files, function);
        assert_eq!(place("turn").as_deref(), Some("reactor.rs:2"));
        assert_eq!(place("run").as_deref(), Some("lib.rs:2"));
        assert_eq!(place("other"), None);
    }
}
