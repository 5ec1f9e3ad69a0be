//! The runtimes of stage 16, which the learner's check tests: one file, and changes of it.

use std::fmt::Write as _;

use crate::stage::{Files, Stage};
use crate::{Problem, diff, layout, wrong};

/// The file that is changed.
const FILE: &str = "runtime.rs";

/// Writes the runtimes of the stage with that check into `out`. Returns the path of a file that lists them;
/// `None` for a stage without runtimes.
pub(crate) fn lay_out(check: &str, out: &str) -> Result<Option<String>, Problem> {
    let folder = check.strip_suffix("/check.rs").and_then(|path| path.rsplit('/').next());
    let number = folder.and_then(|name| name.trim_start_matches('s').parse().ok());
    let Some(Ok(stage)) = number.map(Stage::find) else { return Ok(None) };
    let changes = wrong::read(&stage, "runtimes")?;
    if changes.is_empty() {
        return Ok(None);
    }
    let reference = layout::read(&stage.path(FILE))?;
    let mut list = String::new();
    let mut subjects = String::new();
    let mut add = |name: &str, is_right: bool, why: &str, text: &str| -> Result<(), Problem> {
        let file = format!("{out}/runtimes/{name}.rs");
        layout::write(&file, text)?;
        let _ = writeln!(list, "#[path = {:?}]\nmod {name};", layout::path(&file));
        let _ = writeln!(
            subjects,
            "    Subject {{ name: {name:?}, is_right: {is_right}, why: {why:?}, difference: {:?}, \
             new: || Rc::new({name}::Pocket::default()) }},",
            diff::lines(&reference, text)
        );
        Ok(())
    };
    add("reference", true, "", &reference)?;
    for change in changes {
        let before = Files::from([(FILE.to_owned(), reference.clone())]);
        let after = change.apply_to(before, &stage.path(&format!("runtimes/{}", change.name)))?;
        let text = after.get(FILE).cloned().unwrap_or_default();
        add(&change.name, change.id == "green", &change.why, &text)?;
    }
    let _ = writeln!(list, "static RUNTIMES: &[Subject] = &[\n{subjects}];");
    let path = format!("{out}/runtimes/list.rs");
    layout::write(&path, &list)?;
    Ok(Some(layout::path(&path).to_string_lossy().into_owned()))
}
