//! Every program, driven by clients that we did not write: each answers correctly, also a hundred at
//! once, and goes on when clients vanish in the middle of a request.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod http;
mod mini_redis;
mod router;
mod support;
mod tls;
mod websocket;
