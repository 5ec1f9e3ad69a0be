//! Tests every program with third-party clients: it serves one and a hundred at once, and keeps
//! serving after clients have disconnected in the middle of a request.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod http;
mod mini_redis;
mod postgres;
mod quic;
mod resolve;
mod router;
mod support;
mod tls;
mod websocket;
