//! Tests every program with servers and clients of others, also with ones that disconnect in the middle
//! of a request. Each program with a tokio runtime panics without it, and `get` has no second thread.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod http_clients;
mod layers;
mod redis;
#[allow(dead_code, reason = "shared with the tests of the other folder")]
#[path = "../../../ecosystem/tests/programs/support.rs"]
mod support;
