//! Publishes one run in the documentation: copies plots and tables to docs/performance/, and replaces
//! the figures between marks in the pages, so that no figure is typed by hand.
//!
//! ```text
//! <!-- figures: targets -->
//! this text is replaced by the section of that name
//! <!-- end of figures -->
//! ```
//!
//! `sections` has the sections by name, `tables` their tables.

use std::error::Error;
use std::fs;
use std::path::Path;

use tables::Pages;

use crate::plots;
use crate::results::Results;

mod sections;
mod tables;

/// Pages with marks, relative to the root of the repository, each with the path from there to the
/// plots.
const PAGES: [(&str, &str); 2] = [
    ("docs/PERFORMANCE.md", "performance"),
    ("README.md", "docs/performance"),
];
const FOLDER: &str = "docs/performance";

/// Copies plots and tables, and fills the pages.
///
/// # Errors
///
/// Returns an error if a file cannot be read or written, or if a page has an invalid mark.
pub(crate) fn publish(from: &Path, root: &Path, all: &[Results]) -> Result<(), Box<dyn Error>> {
    let target = root.join(FOLDER);
    fs::create_dir_all(&target)?;
    for entry in fs::read_dir(&target)? {
        // Plots of an earlier run; this run can have fewer.
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "svg") {
            fs::remove_file(path)?;
        }
    }
    fs::copy(from.join("RESULTS.md"), target.join("RESULTS.md"))?;
    for (part, metric) in plots::drawn(all) {
        let name = plots::file_name(part, &metric);
        fs::copy(from.join(&name), target.join(&name))?;
    }
    for (page, folder) in PAGES {
        let path = root.join(page);
        let text = fs::read_to_string(&path)?;
        let section = |name: &str| Pages { all, folder }.section(name);
        let filled = fill(&text, section).map_err(|why| format!("{page}: {why}"))?;
        fs::write(&path, filled)?;
    }
    Ok(())
}

const MARK: &str = "<!-- figures: ";
const END: &str = "<!-- end of figures -->";

/// Replaces the text between the marks.
fn fill(text: &str, section: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(MARK) {
        let (before, mark) = rest.split_at(start);
        let (name, inside) = mark[MARK.len()..]
            .split_once(" -->")
            .ok_or("a mark is not closed")?;
        let (_, after) = inside
            .split_once(END)
            .ok_or_else(|| format!("the figures '{name}' have no end mark"))?;
        let section = section(name).ok_or_else(|| format!("unknown figures '{name}'"))?;
        let section = section.trim_end();
        filled += &format!("{before}{MARK}{name} -->\n{section}\n{END}");
        rest = after;
    }
    Ok(filled + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uppercase(name: &str) -> Option<String> {
        (name != "unknown").then(|| name.to_uppercase() + "\n")
    }

    #[test]
    fn only_the_text_between_marks_is_replaced() {
        let old = "a\n<!-- figures: one -->\nold\n<!-- end of figures -->\nb\n";
        let new = "a\n<!-- figures: one -->\nONE\n<!-- end of figures -->\nb\n";
        assert_eq!(fill(old, uppercase).unwrap(), new);
        assert_eq!(
            fill(new, uppercase).unwrap(),
            new,
            "a second time changes nothing"
        );
        assert_eq!(fill("no marks", uppercase).unwrap(), "no marks");
    }

    #[test]
    fn an_invalid_mark_is_an_error() {
        assert!(fill("<!-- figures: one -->", uppercase).is_err());
        let unknown = "<!-- figures: unknown --><!-- end of figures -->";
        assert!(fill(unknown, uppercase).unwrap_err().contains("unknown"));
    }

    /// The pages of this repository, without results.
    #[test]
    fn every_mark_of_the_pages_is_known() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (page, folder) in PAGES {
            let text = fs::read_to_string(root.join(page)).unwrap();
            assert!(text.contains(MARK), "{page}");
            let pages = Pages { all: &[], folder };
            fill(&text, |name| pages.section(name)).unwrap();
        }
    }
}
