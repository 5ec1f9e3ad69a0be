//! Compiles an answer and runs its cases.

use crate::report::Report;
use crate::run::Ended;
use crate::stage::{Files, Stage};
use crate::{Problem, compile, layout, run};

/// The result of a check.
pub(crate) enum Checked {
    /// The compiler has printed why.
    DoesNotCompile,
    /// This machine lacks what the check needs.
    Skipped(String),
    Ran {
        passed: usize,
        of: usize,
        /// The first case that failed.
        failed: Option<(String, Box<Report>)>,
    },
}

/// Writes files into a folder for the compiler.
pub(crate) fn lay_out(files: &Files, folder: &str) -> Result<(), Problem> {
    let _ = std::fs::remove_dir_all(layout::path(folder));
    files.iter().try_for_each(|(name, text)| layout::write(&format!("{folder}/{name}"), text))
}

/// Returns the names of the cases.
pub(crate) fn cases(out: &str) -> Result<Vec<String>, Problem> {
    let list = run::list(out)?;
    Ok(list.lines().filter_map(|line| line.strip_prefix("case\t")).map(str::to_owned).collect())
}

/// Compiles the files in `source` and runs all cases.
pub(crate) fn check(
    stage: &Stage,
    source: &str,
    out: &str,
    show: bool,
) -> Result<Checked, Problem> {
    let compiled = compile::stage(source, &stage.path("check.rs"), out, show)?;
    if !compiled.success {
        return Ok(Checked::DoesNotCompile);
    }
    run_cases(&cases(out)?, source, out, show, false)
}

/// Runs the cases of a check that is compiled, or those up to the first failure.
pub(crate) fn run_cases(
    cases: &[String],
    source: &str,
    out: &str,
    show: bool,
    only_first: bool,
) -> Result<Checked, Problem> {
    let (mut passed, mut failed) = (0, None);
    for (number, name) in cases.iter().enumerate() {
        match run::case(out, source, number, show)? {
            Ended::Passed => passed += 1,
            Ended::Skipped(reason) => return Ok(Checked::Skipped(reason)),
            Ended::Failed(report) => {
                if failed.is_none() {
                    failed = Some((name.clone(), report));
                }
                if only_first {
                    break;
                }
            }
        }
    }
    Ok(Checked::Ran { passed, of: cases.len(), failed })
}
