//! An axum router behind tower's `timeout`, with a tokio runtime beside Wakeful's.
//!
//! ```text
//! cargo run --bin layers
//! curl http://127.0.0.1:8008/sleep/100              # in a second terminal; then: /sleep/5000
//! ```
//!
//! The layer uses tokio's timer, so it panics without `enter`. All else is as in the program `router`
//! of `examples/ecosystem`: the sockets are Wakeful's, and the handlers run on this thread.

use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use ecosystem_common::{first_byte, run_http, serve};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tower::timeout::TimeoutLayer;
use wakeful::hyper::{WakefulExecutor, WakefulTimer};
use wakeful::time::sleep;
use wakeful_beside_tokio::finish;
use wakeful_net::TcpStream;

/// Time limit of a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Time limit for the first byte, and for the head of a request.
const TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let tokio = match wakeful_beside_tokio::tokio() {
        Ok(tokio) => tokio,
        Err(error) => return finish(Err(error.into())),
    };
    let _context = tokio.enter();
    let router = Router::new()
        .route("/", get(async || "Hello\n"))
        .route("/sleep/{milliseconds}", get(sleeper))
        // The error of the inner layer is a response of the outer one.
        .layer((
            HandleErrorLayer::new(timed_out),
            TimeoutLayer::new(RESPONSE_TIMEOUT),
        ));
    serve("127.0.0.1:8008", move |stream: TcpStream, shutdown| {
        let service = TowerToHyperService::new(router.clone());
        async move {
            if !first_byte(&stream, TIMEOUT, &shutdown).await? {
                return Ok(());
            }
            let mut builder = auto::Builder::new(WakefulExecutor);
            builder
                .http1()
                .timer(WakefulTimer)
                .header_read_timeout(TIMEOUT);
            run_http(builder.serve_connection(stream, service), &shutdown).await
        }
    })
}

/// Sleeps on Wakeful's clock. The layer's time limit is on tokio's.
async fn sleeper(Path(milliseconds): Path<u64>) -> &'static str {
    sleep(Duration::from_millis(milliseconds)).await;
    "slept\n"
}

async fn timed_out(error: axum::BoxError) -> (StatusCode, String) {
    (StatusCode::REQUEST_TIMEOUT, format!("{error}\n"))
}
