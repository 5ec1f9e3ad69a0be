//! Counts what holds, prints it line by line, and collects the problems.

use crate::{End, Problem};

/// Counts and collects problems.
#[derive(Default)]
pub(crate) struct Tally {
    problems: Vec<Problem>,
}

impl Tally {
    /// Prints how many of `of` hold.
    pub(crate) fn line(&mut self, what: &str, of: usize, problems: Vec<Problem>) {
        print_line(what, &format!("{} of {of}", of - problems.len().min(of)));
        self.none_or(problems);
    }

    /// Prints the number of problems, which must be 0.
    pub(crate) fn zero(&mut self, what: &str, problems: Vec<Problem>) {
        print_line(what, &problems.len().to_string());
        self.none_or(problems);
    }

    /// Prints how many problems there are.
    pub(crate) fn end(&self) -> End {
        match self.problems.len() {
            0 => {
                println!("the workshop holds");
                End::Green
            }
            1 => {
                println!("1 problem");
                End::Red
            }
            n => {
                println!("{n} problems");
                End::Red
            }
        }
    }

    /// Prints problems and collects them.
    pub(crate) fn none_or(&mut self, problems: Vec<Problem>) {
        problems.iter().for_each(|problem| println!("  {}", problem.replace('\n', "\n    ")));
        self.problems.extend(problems);
    }
}

/// Prints a figure.
pub(crate) fn print_line(what: &str, figure: &str) {
    println!("{what:<44} {figure}");
}
