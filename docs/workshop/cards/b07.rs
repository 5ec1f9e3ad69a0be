//! B7. The error that is printed
//!
//! From: K. Stage: 11.
//! Input: the port 70000.
//! Bug: cannot start: None
//! Fix: cannot start: port 70000: number too large to fit in target type
//!
//! The message has the outer `error`, which is that of an earlier step. So the reader learns nothing. Name
//! what was tried, on what, and the cause that has just occurred.

use std::num::ParseIntError;

mod bug {
    use super::*;

    pub fn start(port: &str, error: Option<ParseIntError>) -> Result<u16, String> {
        if error.is_some() {
            return Err(format!("no configuration: {error:?}"));
        }
        match port.parse() {
            Ok(port) => Ok(port),
            Err(_e) => Err(format!("cannot start: {error:?}")),
        }
    }
}

mod fix {
    use super::*;

    pub fn start(port: &str, earlier: Option<ParseIntError>) -> Result<u16, String> {
        if let Some(error) = earlier {
            return Err(format!("no configuration: {error}"));
        }
        port.parse().map_err(|error| format!("cannot start: port {port}: {error}"))
    }
}

fn input(start: fn(&str, Option<ParseIntError>) -> Result<u16, String>) -> String {
    start("70000", None).unwrap_err()
}

fn main() {
    card::run(&|| input(bug::start), &|| input(fix::start));
}
