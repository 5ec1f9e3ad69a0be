//! Empty: the tests are in `tests/`, one file for each included file of tokio.
