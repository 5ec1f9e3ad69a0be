//! Runs the scenarios on the unchanged libraries. `.ci/run sim` runs them on broken ones, see `planted`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "scenarios/mod.rs"]
mod scenarios;
