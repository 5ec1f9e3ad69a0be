//! What `verify` compiles and runs: references, starts, and other solutions, each with what must come of it.

use std::sync::OnceLock;

use crate::check::{self, Checked, lay_out, run_cases};
use crate::layout::LAB;
use crate::stage::{Files, Stage};
use crate::{Problem, compile, wrong};

/// The name of a stage's own solution among its jobs.
const REFERENCE: &str = "reference";

/// What must come of a job.
#[derive(Clone, PartialEq)]
enum Wanted {
    Green,
    Id(String),
}

/// One set of files to compile and to run.
pub(crate) struct Job {
    pub(crate) stage: Stage,
    name: String,
    files: Files,
    wanted: Wanted,
    /// The names of its cases, when it has been compiled.
    cases: OnceLock<Vec<String>>,
    /// Why it could not be run on this machine.
    skipped: OnceLock<String>,
}

impl Job {
    /// Returns where it is compiled.
    pub(crate) fn folder(&self) -> String {
        format!("{LAB}/{}-{}", self.stage.folder(), self.name)
    }

    pub(crate) fn is_reference(&self) -> bool {
        self.name == REFERENCE
    }

    pub(crate) fn is_start(&self) -> bool {
        self.name == "start"
    }

    /// Whether it must pass and differs from the reference.
    pub(crate) fn is_other_right(&self) -> bool {
        self.wanted == Wanted::Green && !self.is_reference()
    }

    pub(crate) fn is_wrong(&self) -> bool {
        self.wanted != Wanted::Green && !self.is_start()
    }

    /// Returns why it could not be run on this machine, if so.
    pub(crate) fn skipped(&self) -> Option<String> {
        self.skipped
            .get()
            .map(|reason| format!("stage {}, {}: {reason}", self.stage.number, self.name))
    }

    /// Compiles it.
    pub(crate) fn compile(&self) -> Result<(), Problem> {
        let source = format!("{}/src", self.folder());
        lay_out(&self.files, &source)?;
        let check = self.stage.path("check.rs");
        let compiled = compile::stage(&source, &check, &self.folder(), false)?;
        if !compiled.success {
            return Err(format!("{}: does not compile\n{}", self.folder(), compiled.messages));
        }
        let cases = check::cases(&self.folder())?;
        let _ = self.cases.set(cases);
        Ok(())
    }

    pub(crate) fn is_compiled(&self) -> bool {
        self.cases.get().is_some()
    }

    /// Runs it, and returns what is wrong.
    pub(crate) fn run(&self) -> Result<(), Problem> {
        let source = format!("{}/src", self.folder());
        let cases = self.cases.get().map_or(&[][..], Vec::as_slice);
        let (failed, passed) = match run_cases(cases, &source, &self.folder(), false, true)? {
            Checked::Ran { failed, passed, .. } => (failed, passed),
            Checked::Skipped(reason) => {
                let _ = self.skipped.set(reason);
                return Ok(());
            }
            Checked::DoesNotCompile => return Err(format!("{}: was not run", self.folder())),
        };
        let (seen, text) = match &failed {
            None if passed == 0 => return Err(format!("{}: no case was run", self.folder())),
            None => (Wanted::Green, "green".to_owned()),
            Some((case, report)) => {
                let text = format!("{} in \"{case}\": {}; {}", report.id, report.what, report.seen);
                (Wanted::Id(report.id.clone()), text)
            }
        };
        let wanted = match &self.wanted {
            Wanted::Green => "green",
            Wanted::Id(id) => id,
        };
        match seen == self.wanted {
            true => Ok(()),
            false => Err(format!("{}: must be {wanted}, is {text}", self.folder())),
        }
    }
}

/// Returns the jobs of stages. The references come first.
pub(crate) fn all(stages: &[Stage]) -> Result<Vec<Job>, Problem> {
    let mut jobs = references(stages)?;
    for &stage in stages {
        let mut add = |name: &str, files: Files, wanted: Wanted| {
            jobs.push(job(stage, name, files, wanted));
        };
        add("start", stage.start()?, Wanted::Id(format!("{}.0", stage.number)));
        for wrong in wrong::all(&stage)? {
            add(&wrong.name, wrong.apply(&stage)?, Wanted::Id(wrong.id.clone()));
        }
        for right in wrong::right(&stage)? {
            add(&right.name, right.apply(&stage)?, Wanted::Green);
        }
    }
    Ok(jobs)
}

/// Returns the jobs of the references.
pub(crate) fn references(stages: &[Stage]) -> Result<Vec<Job>, Problem> {
    let reference =
        |stage: &Stage| stage.solution().map(|files| job(*stage, REFERENCE, files, Wanted::Green));
    stages.iter().map(reference).collect()
}

fn job(stage: Stage, name: &str, files: Files, wanted: Wanted) -> Job {
    let (cases, skipped) = (OnceLock::new(), OnceLock::new());
    Job { stage, name: name.to_owned(), files, wanted, cases, skipped }
}
