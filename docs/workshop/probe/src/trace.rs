//! A trace: what happened, in order.

use std::sync::{Arc, Mutex, PoisonError};

/// A list of words that several futures and threads write.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    /// Returns an empty trace.
    #[must_use]
    pub fn new() -> Trace {
        Trace::default()
    }

    /// Adds a step.
    pub fn note(&self, step: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(step.into());
    }

    /// Returns all steps.
    #[must_use]
    pub fn steps(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the steps that begin with a word, joined by commas.
    #[must_use]
    pub fn only(&self, word: &str) -> String {
        let steps = self.steps();
        let steps: Vec<&str> = steps.iter().map(|s| &**s).filter(|s| s.starts_with(word)).collect();
        steps.join(", ")
    }

    /// Returns the polls, joined by commas.
    #[must_use]
    pub fn polls(&self) -> String {
        self.only("poll")
    }

    /// Returns the number of polls.
    #[must_use]
    pub fn poll_count(&self) -> usize {
        self.steps().iter().filter(|step| step.starts_with("poll")).count()
    }
}
