//! Finds items in Rust source that rustfmt has formatted.

use std::ops::Range;

use crate::Problem;

/// A function whose body the learner writes.
pub(crate) struct Blank {
    pub(crate) file: String,
    /// Path of the function: `impl Wake for Unpark > fn wake_by_ref`.
    pub(crate) item: String,
    /// The lines of the start instead of the body.
    pub(crate) body: String,
}

/// Parses `blanks.txt`: a line `FILE: ITEM`, then the indented body.
pub(crate) fn parse_blanks(text: &str) -> Result<Vec<Blank>, Problem> {
    let mut blanks: Vec<Blank> = Vec::new();
    for line in text.lines() {
        if line.starts_with(' ') {
            let blank = blanks.last_mut().ok_or("blanks.txt begins with an indented line")?;
            blank.body.push_str(line);
            blank.body.push('\n');
        } else if !line.is_empty() {
            let (file, item) = line.split_once(": ").ok_or(format!("blanks.txt: `{line}`"))?;
            blanks.push(Blank {
                file: file.to_owned(),
                item: item.to_owned(),
                body: String::new(),
            });
        }
    }
    Ok(blanks)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Whether a line begins an item such as `fn poll`, `struct Task` or `impl Wake for Unpark`.
fn begins(line: &str, item: &str) -> bool {
    let code = line.trim_start();
    if code.starts_with("//") {
        return false;
    }
    let Some(at) = code.find(item) else { return false };
    let before = &code[..at];
    let after = code[at + item.len()..].chars().next();
    let visible = ["", "pub ", "pub(crate) ", "async ", "pub async ", "pub(crate) async "];
    visible.contains(&before) && !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// Returns the lines of an item, without its comments and attributes. `A > B` is B inside of A.
pub(crate) fn find(text: &str, path: &str) -> Result<Range<usize>, Problem> {
    let lines: Vec<&str> = text.lines().collect();
    let mut inside = 0..lines.len();
    for item in path.split(" > ") {
        let mut found = inside.clone().filter(|&number| begins(lines[number], item));
        let first = found.next().ok_or(format!("there is no `{path}`"))?;
        if found.next().is_some() {
            return Err(format!("there are several `{path}`"));
        }
        inside = first..end_of(&lines, first) + 1;
    }
    Ok(inside)
}

/// Returns the last line of the item that begins on a line.
fn end_of(lines: &[&str], first: usize) -> usize {
    let one_line = |line: &str| line.ends_with(';') || line.ends_with("{}") || line.ends_with(" }");
    if one_line(lines[first]) {
        return first;
    }
    let close = indent(lines[first]);
    (first + 1..lines.len())
        .find(|&number| {
            indent(lines[number]) == close && lines[number].trim_start().starts_with('}')
        })
        .unwrap_or(lines.len() - 1)
}

/// Returns the lines of a function's body.
fn body(text: &str, item: &str) -> Result<Range<usize>, Problem> {
    let lines: Vec<&str> = text.lines().collect();
    let whole = find(text, item)?;
    let opens = whole.clone().find(|&number| lines[number].ends_with('{'));
    let opens = opens.ok_or(format!("`{item}` has no body"))?;
    Ok(opens + 1..whole.end - 1)
}

/// Replaces the body of a function.
pub(crate) fn replace_body(text: &str, item: &str, new: &str) -> Result<String, Problem> {
    let body = body(text, item)?;
    let lines: Vec<&str> = text.lines().collect();
    let mut out = String::new();
    for line in &lines[..body.start] {
        out.push_str(line);
        out.push('\n');
    }
    out.push_str(new);
    for line in &lines[body.end..] {
        out.push_str(line);
        out.push('\n');
    }
    Ok(out)
}

fn is_code(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with("//")
}

/// Counts lines that are neither blank nor comments.
pub(crate) fn code_lines(text: &str) -> usize {
    text.lines().filter(|line| is_code(line)).count()
}

/// Counts the code lines of a function's body that are not in the body of the start.
pub(crate) fn new_lines(text: &str, item: &str, start: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let is_new = |line: &&&str| is_code(line) && !start.lines().any(|old| old == **line);
    body(text, item).map_or(0, |body| lines[body].iter().filter(is_new).count())
}

/// Returns an item as text, without the indent of its first line.
pub(crate) fn snippet(text: &str, item: &str) -> Result<String, Problem> {
    let lines: Vec<&str> = text.lines().collect();
    let range = find(text, item)?;
    let cut = indent(lines[range.start]);
    Ok(lines[range].iter().map(|line| format!("{}\n", line.get(cut..).unwrap_or(""))).collect())
}
