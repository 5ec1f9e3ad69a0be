//! Nothing: the tests are in `tests/`, one file for each taken file of tokio's.
