//! The program that runs scenarios, `extras/sim/examples/scenario.rs`, in the build with the bugs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Problem;

/// Ends a run with a bug that does not end by itself.
const SECONDS: &str = "120";

/// The program.
pub(crate) struct Program(pub(crate) PathBuf);

/// The first seed that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Its place among the seeds, from 1.
    pub(crate) number: u32,
    pub(crate) seed: u64,
}

impl Program {
    /// Runs the seeds of a scenario until one fails. `bug` is the name of the chosen bug, if there is one.
    pub(crate) fn search(
        &self,
        bug: Option<&str>,
        scenario: &str,
        count: u32,
    ) -> Result<Option<Failure>, Problem> {
        let answer = self.run(bug, ["search", scenario, &count.to_string()])?;
        if answer == "passed" {
            return Ok(None);
        }
        parse_failure(&answer)
            .map(Some)
            .ok_or(format!("search {scenario}: `{answer}`"))
    }

    /// Returns the shrunk tape of a seed that fails.
    pub(crate) fn shrink(&self, bug: &str, scenario: &str, seed: u64) -> Result<String, Problem> {
        let tape = self.run(Some(bug), ["shrink", scenario, &seed.to_string()])?;
        Ok(format!("{tape}\n"))
    }

    /// Returns whether a scenario fails with the choices of a tape.
    pub(crate) fn fails(
        &self,
        bug: Option<&str>,
        scenario: &str,
        tape: &Path,
    ) -> Result<bool, Problem> {
        match self
            .run(bug, ["replay", scenario, &tape.to_string_lossy()])?
            .as_str()
        {
            "failed" => Ok(true),
            "passed" => Ok(false),
            answer => Err(format!("replay {scenario}: `{answer}`")),
        }
    }

    /// Returns what the program prints, without the last newline.
    fn run(&self, bug: Option<&str>, arguments: [&str; 3]) -> Result<String, Problem> {
        let mut command = Command::new("timeout");
        // 0: without a limit, because a long run has many seeds.
        command.arg(if bug.is_some() { SECONDS } else { "0" });
        command.arg(&self.0).args(arguments);
        command
            .env_remove("WAKEFUL_SEEDS")
            .env_remove("WAKEFUL_PLANTED");
        if let Some(bug) = bug {
            command
                .env_remove("WAKEFUL_SEED")
                .env("WAKEFUL_PLANTED", bug);
        }
        let output = command
            .output()
            .map_err(|error| format!("timeout: {error}"))?;
        if output.status.success() {
            let text = String::from_utf8_lossy(&output.stdout);
            return Ok(text.trim_end().to_owned());
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        let last: Vec<_> = errors.lines().rev().take(20).collect();
        let last: Vec<_> = last.into_iter().rev().collect();
        Err(format!(
            "{}: {}\n{}",
            arguments.join(" "),
            output.status,
            last.join("\n")
        ))
    }
}

/// Parses `failed NUMBER SEED`.
fn parse_failure(answer: &str) -> Option<Failure> {
    let (number, seed) = answer.strip_prefix("failed ")?.split_once(' ')?;
    let (number, seed) = (number.parse().ok()?, seed.parse().ok()?);
    Some(Failure { number, seed })
}
