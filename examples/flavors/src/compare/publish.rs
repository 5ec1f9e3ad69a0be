//! Writes a comparison into a page: the tables between two marker lines, the plots and raw numbers
//! into a folder next to the page. So no number of the page is typed by hand.

use std::fs;
use std::io;
use std::path::Path;

use super::plot::PLOTS;
use super::result::Comparison;

const BEGIN: &str = "<!-- flavors compare: begin -->";
const END: &str = "<!-- flavors compare: end -->";
const FOLDER: &str = "flavors";

/// Writes the results into `page`, with the plots from the folder `from`.
pub(crate) fn publish(found: &Comparison, table: &str, from: &Path, page: &Path) -> io::Result<()> {
    let text = fs::read_to_string(page)?;
    let folder = page.parent().unwrap_or(Path::new("")).join(FOLDER);
    fs::create_dir_all(&folder)?;
    for (file, _) in PLOTS {
        fs::copy(from.join(file), folder.join(file))?;
    }
    fs::write(
        folder.join("raw.json"),
        serde_json::to_string_pretty(found)? + "\n",
    )?;
    let mut results = table.to_owned();
    results += "\n### Plots\n\n";
    for (file, caption) in PLOTS {
        results += &format!("![{caption}]({FOLDER}/{file})\n\n");
    }
    results += &format!("Raw numbers: [raw.json]({FOLDER}/raw.json).\n");
    let text = replace_results(&text, &results).ok_or_else(|| {
        let page = page.display();
        io::Error::other(format!(
            "publish {page}: the lines `{BEGIN}` and `{END}` are missing"
        ))
    })?;
    fs::write(page, text)
}

/// Returns the text with new results between the markers, or `None` if a marker is missing.
fn replace_results(text: &str, results: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{results}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_between_the_markers_changes() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = format!("a\n{BEGIN}\n\nnew\n\n{END}\nb\n");
        assert_eq!(replace_results(&page, "new\n"), Some(new.clone()));
        assert_eq!(replace_results(&new, "new\n"), Some(new));
        assert_eq!(replace_results("no markers", "new"), None);
    }
}
