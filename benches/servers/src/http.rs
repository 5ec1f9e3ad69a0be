//! What the servers of HTTP share: the command line, the answer, and axum's router.
//!
//! They serve `GET /` by HTTP/1.1, or by HTTP/2 with `--http2`, with hyper's own interface, or with an
//! axum router with `--axum`. Both have hyper's default limits and a timer, so that the time limit for
//! the head of a request is part of what is measured.

use std::convert::Infallible;
use std::error::Error;
use std::net::TcpListener;

use axum::Router;
use axum::routing::get;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};

/// Body of every answer.
pub const BODY: &str = "Hello, world!\n";

/// Listener and settings of a server of HTTP.
#[derive(Debug)]
pub struct Start {
    /// A non-blocking socket that is already listening.
    pub listener: TcpListener,
    /// Whether an axum router answers, instead of a function.
    pub axum: bool,
    /// Whether connections are HTTP/2, instead of HTTP/1.1.
    pub http2: bool,
}

impl Start {
    /// Parses the command line, listens, and prints the address.
    ///
    /// # Errors
    ///
    /// Returns an error if the arguments are not `[--axum] [--http2]`, or if no socket can be opened.
    pub fn from_command_line() -> Result<Start, Box<dyn Error>> {
        let (mut axum, mut http2) = (false, false);
        for argument in std::env::args().skip(1) {
            match argument.as_str() {
                "--axum" => axum = true,
                "--http2" => http2 = true,
                other => {
                    return Err(
                        format!("unknown option {other}: allowed are --axum and --http2").into(),
                    );
                }
            }
        }
        let listener = crate::listen()?;
        Ok(Start {
            listener,
            axum,
            http2,
        })
    }
}

/// Answers any request.
///
/// # Errors
///
/// Never returns an error; hyper requires a result.
pub async fn respond(_request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from(BODY)))
}

/// Returns a router with the same answer.
pub fn router() -> Router {
    Router::new().route("/", get(async || BODY))
}
