//! Puts a comparison into a page: tables between two marker lines, plots and raw numbers into a folder
//! beside it, so that no figure there was typed by hand.

use std::fs;
use std::io;
use std::path::Path;

use super::plot::PLOTS;
use super::result::Comparison;

const BEGIN: &str = "<!-- flavors compare: begin -->";
const END: &str = "<!-- flavors compare: end -->";
const FOLDER: &str = "flavors";

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
    results += "\n### As pictures\n\n";
    for (file, caption) in PLOTS {
        results += &format!("![{caption}]({FOLDER}/{file})\n\n");
    }
    results += &format!("The numbers behind them: [raw.json]({FOLDER}/raw.json).\n");
    let text = replaced(&text, &results).ok_or_else(|| {
        let page = page.display();
        io::Error::other(format!(
            "{page}: needs a line `{BEGIN}` and after it a line `{END}`"
        ))
    })?;
    fs::write(page, text)
}

/// The text with other results between its markers.
fn replaced(text: &str, results: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{results}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_changes() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = format!("a\n{BEGIN}\n\nnew\n\n{END}\nb\n");
        assert_eq!(replaced(&page, "new\n"), Some(new.clone()));
        assert_eq!(replaced(&new, "new\n"), Some(new));
        assert_eq!(replaced("no markers", "new"), None);
    }
}
