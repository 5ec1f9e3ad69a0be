//! An axum router on Wakeful.
//!
//! ```text
//! cargo run --bin router
//! curl http://127.0.0.1:8002/hello/you              # in a second terminal
//! ```
//!
//! axum requires handlers to be `Send`, also on one thread. That costs an `Arc` instead of an `Rc`.
//! Handlers can await Wakeful's sleeps, handles and sockets, which are plain data and so `Send`.
//! `axum::serve` needs tokio's runtime; hyper's connection builder serves the router without it.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::routing::{get, post};
use ecosystem_common::{first_byte, run_http, serve};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use wakeful::hyper::{WakefulExecutor, WakefulTimer};
use wakeful::time::sleep;
use wakeful_net::TcpStream;

/// Time limit for the first byte, and for the head of a request.
const TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let router = router();
    serve("127.0.0.1:8002", move |stream: TcpStream, shutdown| {
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
            builder.http2().timer(WakefulTimer);
            run_http(builder.serve_connection(stream, service), &shutdown).await
        }
    })
}

fn router() -> Router {
    Router::new()
        .route("/", get(async || "Hello from axum on Wakeful\n"))
        .route("/hello/{name}", get(hello))
        .route("/sum", post(sum))
        .route("/later", get(later))
        // Larger bodies are refused with 413.
        .layer(DefaultBodyLimit::max(1 << 20))
        .with_state(Arc::new(AtomicU64::new(0)))
}

async fn hello(State(visits): State<Arc<AtomicU64>>, Path(name): Path<String>) -> Json<Value> {
    let visit = visits.fetch_add(1, Ordering::Relaxed) + 1;
    Json(json!({ "hello": name, "visit": visit }))
}

/// Returns the sum of a JSON array of numbers. axum refuses other JSON with 400 or 422.
async fn sum(Json(numbers): Json<Vec<f64>>) -> Json<f64> {
    Json(numbers.iter().sum())
}

/// Responds after 50 ms. Other requests are served during the sleep.
async fn later(body: Bytes) -> Bytes {
    sleep(Duration::from_millis(50)).await;
    if body.is_empty() {
        Bytes::from_static(b"later\n")
    } else {
        body
    }
}
