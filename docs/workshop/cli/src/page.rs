//! The rules for pages, and the code on them.

use crate::source;
use crate::stage::Stage;
use crate::{Problem, layout};

const WORDS: usize = 900;
const SENTENCE: usize = 35;
const MEDIAN: usize = 15;
const BLOCKS: usize = 3;
const BLOCK_LINES: usize = 25;
const PICTURES: usize = 1;
const TERMS: usize = 3;
const COLUMNS: usize = 110;

/// Headings that every page has, in this order.
const HEADINGS: [&str; 6] = ["Predict", "Write", "Check", "Break it", "The rule", "In Wakeful"];

/// Begins what a page has for instructors, folded. It is no part of what a learner reads.
const INSTRUCTORS: &str = "<!-- for instructors -->\n";

/// Splits a page into the learner's part and the part for instructors.
pub(crate) fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once(INSTRUCTORS) {
        Some((page, notes)) => (page, Some(notes)),
        None => (text, None),
    }
}

/// Returns what is wrong with the part for instructors.
fn instructors(page: &str, notes: Option<&str>) -> Vec<String> {
    let Some(notes) = notes else { return vec![format!("{page}: has no part for instructors")] };
    let begins = |prefix: &str| notes.lines().filter(|line| line.starts_with(prefix)).count();
    let parts = ["**Ask.** ", "**Demo.** ", "**Note.** "].map(begins);
    let mut problems = Vec::new();
    if parts != [1; 3] || begins("**\"") != 3 || begins("<details>") != 1 {
        problems.push(format!("{page}: instructors need a fold with Ask, Demo, Note, 3 questions"));
    }
    let longest = sentences(notes).into_iter().max().unwrap_or(0);
    if longest > SENTENCE {
        problems.push(format!("{page}: for instructors: a sentence of {longest} words"));
    }
    problems
}

/// Returns the sections of a page: heading of the second level, and text.
pub(crate) fn sections(text: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    let mut code = false;
    for line in text.lines() {
        code ^= line.starts_with("```");
        match line.strip_prefix("## ") {
            Some(heading) if !code => sections.push((heading.to_owned(), String::new())),
            _ => {
                if let Some((_, text)) = sections.last_mut() {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
    }
    sections
}

/// Returns the fenced blocks, each with its number of lines, and the text around them.
fn split_code(text: &str) -> (Vec<usize>, String) {
    let (mut blocks, mut prose, mut inside) = (Vec::new(), String::new(), None);
    for line in text.lines() {
        match (line.starts_with("```"), inside) {
            (true, None) => inside = Some(0),
            (true, Some(lines)) => {
                blocks.push(lines);
                inside = None;
                prose.push('\n');
            }
            (false, Some(lines)) => inside = Some(lines + 1),
            (false, None) => {
                prose.push_str(line);
                prose.push('\n');
            }
        }
    }
    (blocks, prose)
}

/// Returns the sentences, each as its number of words.
fn sentences(prose: &str) -> Vec<usize> {
    let mut lengths = Vec::new();
    for paragraph in paragraphs(prose) {
        let mut words = 0;
        for word in paragraph.split_whitespace() {
            words += usize::from(word.chars().any(char::is_alphanumeric));
            let end = word.trim_end_matches(['*', '"', ')', '_', '`']);
            if end.ends_with(['.', '?', '!', ':', ';']) && words > 0 {
                lengths.push(words);
                words = 0;
            }
        }
        if words > 0 {
            lengths.push(words);
        }
    }
    lengths
}

/// Splits prose at blank lines, headings, items of lists and rows of tables. Links lose their targets.
fn paragraphs(prose: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    for line in prose.lines() {
        let line = line.trim();
        let new = line.is_empty()
            || line.starts_with(['#', '|', '-', '<'])
            || line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(". ");
        if new {
            paragraphs.push(String::new());
        }
        if let (false, Some(paragraph)) = (line.starts_with('<'), paragraphs.last_mut()) {
            paragraph.push_str(line.trim_start_matches(['#', '-', '|', ' ']));
            paragraph.push(' ');
        }
    }
    paragraphs.iter().map(|paragraph| without_targets(paragraph)).collect()
}

/// Removes the targets of links.
fn without_targets(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        out.push_str(before);
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    out + rest
}

/// Returns what is wrong with a page.
pub(crate) fn problems(stage: &Stage) -> Result<Vec<String>, Problem> {
    let whole = stage.page()?;
    let (text, notes) = split(&whole);
    let (blocks, prose) = split_code(text);
    let mut problems = instructors(&stage.path("page.md"), notes);
    let mut limit = |what: &str, figure: usize, limit: usize| {
        if figure > limit {
            problems.push(format!("{}: {what}: {figure}, at most {limit}", stage.path("page.md")));
        }
    };
    let mut sentences = sentences(&prose);
    sentences.sort_unstable();
    limit("words", sentences.iter().sum(), WORDS);
    limit("words of the longest sentence", sentences.last().copied().unwrap_or(0), SENTENCE);
    let median = sentences.get(sentences.len() / 2).copied().unwrap_or(0);
    limit("words of a sentence, median", median, MEDIAN);
    limit("blocks of code", blocks.len(), BLOCKS);
    limit("lines of a block", blocks.iter().copied().max().unwrap_or(0), BLOCK_LINES);
    limit("pictures", text.matches("![").count(), PICTURES);
    let terms = paragraphs(&prose).into_iter().find(|text| text.starts_with("New words: "));
    let terms = terms.unwrap_or_default();
    limit("new words", terms.matches("**").count() / 2, TERMS);
    problems.extend(structure(stage, text)?);
    Ok(problems)
}

/// Returns headings and figures that are missing.
fn structure(stage: &Stage, text: &str) -> Result<Vec<String>, Problem> {
    let page = stage.path("page.md");
    let mut problems = Vec::new();
    let headings: Vec<String> = sections(text).into_iter().map(|(heading, _)| heading).collect();
    let places: Vec<_> = HEADINGS.iter().map(|h| headings.iter().position(|o| o == h)).collect();
    if places.contains(&None) || !places.is_sorted() {
        problems.push(format!("{page}: needs the headings {}", HEADINGS.join(", ")));
    }
    let (own, whole) = stage.count_lines()?;
    let figures = format!("*{} minutes. You write about {own} of {whole} lines.*", stage.minutes);
    if !text.contains(&figures) {
        problems.push(format!("{page}: needs the line {figures}"));
    }
    if !text.starts_with(&format!("# {}. ", stage.number)) {
        problems.push(format!("{page}: its title must begin with `# {}. `", stage.number));
    }
    for file in ["page.md", "hints.md", "quiz.md"] {
        let long =
            |line: &&str| line.chars().count() > COLUMNS && !line.starts_with(['|', '<', '!']);
        let (_, prose) = split_code(&layout::read(&stage.path(file))?);
        let long = prose.lines().filter(long).count();
        if long > 0 {
            let path = stage.path(file);
            problems.push(format!("{path}: {long} lines of more than {COLUMNS} columns"));
        }
    }
    for (file, count) in [("hints.md", 3), ("quiz.md", 3)] {
        let found = sections(&layout::read(&stage.path(file))?).len();
        if found != count {
            problems.push(format!("{}: has {found} sections, not {count}", stage.path(file)));
        }
    }
    Ok(problems)
}

/// Replaces the code on a page by what its files contain now: a comment names file and item. Returns the
/// page and the number of blocks.
pub(crate) fn with_code(stage: &Stage) -> Result<(String, usize), Problem> {
    let text = stage.page()?;
    let mut out = String::new();
    let (mut lines, mut count) = (text.lines(), 0);
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        let Some(name) = line.strip_prefix("<!-- code: ").and_then(|l| l.strip_suffix(" -->"))
        else {
            if line.starts_with("```rust") {
                return Err(format!("{}: code without `<!-- code: -->`", stage.path("page.md")));
            }
            if line.starts_with("```") {
                for line in lines.by_ref() {
                    out.push_str(line);
                    out.push('\n');
                    if line.starts_with("```") {
                        break;
                    }
                }
            }
            continue;
        };
        let (file, item) = name.split_once(' ').ok_or(format!("`{line}` names no item"))?;
        let source = stage_file(stage, file)?;
        out.push_str("```rust\n");
        out.push_str(&source::snippet(&source, item)?);
        out.push_str("```\n");
        count += 1;
        // The old block.
        let mut fences = 0;
        while fences < 2 {
            let old = lines
                .next()
                .ok_or(format!("{}: no block after `{line}`", stage.path("page.md")))?;
            fences += usize::from(old.starts_with("```"));
        }
    }
    Ok((out, count))
}

/// What stands before and after a picture.
const MARKS: (&str, &str) = ("<!-- picture -->\n", "<!-- end of the picture -->\n");

/// Whether a page has a place for a picture.
pub(crate) fn has_picture(stage: &Stage) -> Result<bool, Problem> {
    Ok(stage.page()?.contains(MARKS.0))
}

/// Replaces what is between the two marks of the picture.
pub(crate) fn with_picture(stage: &Stage, markdown: &str) -> Result<String, Problem> {
    let text = stage.page()?;
    let parts = text.split_once(MARKS.0);
    let parts = parts.and_then(|(before, rest)| Some((before, rest.split_once(MARKS.1)?.1)));
    let (before, after) =
        parts.ok_or(format!("{}: has no place for its picture", stage.path("page.md")))?;
    Ok(format!("{before}{}{markdown}{}{after}", MARKS.0, MARKS.1))
}

/// Returns a file of `start/` or `solution/`, also of the stages that this one continues.
fn stage_file(stage: &Stage, path: &str) -> Result<String, Problem> {
    let (folder, file) = path.split_once('/').unwrap_or(("solution", path));
    let files = if folder == "start" { stage.start()? } else { stage.solution()? };
    files.get(file).cloned().ok_or_else(|| format!("stage {}: there is no {path}", stage.number))
}

#[cfg(test)]
mod tests {
    use super::sentences;

    #[test]
    fn sentences_end_at_marks_and_paragraphs() {
        assert_eq!(
            sentences("One two. Three `x.y` four?\n\n- five\n- six [seven](a.b) eight\n"),
            [2, 3, 1, 3]
        );
    }
}
