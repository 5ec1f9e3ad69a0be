//! An HTTP server on hyper 1: HTTP/1.1 and HTTP/2 on one port.
//!
//! ```text
//! cargo run --bin http
//! curl --data hello http://127.0.0.1:8001/echo      # in a second terminal
//! curl --http2-prior-knowledge http://127.0.0.1:8001/count
//! ```
//!
//! With the feature `hyper`, a `TcpStream` is passed to hyper directly, and neither the service nor
//! its state has to be `Send`. On Ctrl-C hyper closes idle keep-alive connections at once, and the others
//! after the response in progress.

use std::cell::Cell;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use ecosystem_common::{ConnectionResult, first_byte, run_http, serve};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::server::conn::auto;
use wakeful::Shutdown;
use wakeful::hyper::{WakefulExecutor, WakefulTimer};
use wakeful_net::TcpStream;

/// Time limit for the first byte, and for the head of a request.
const TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    // All connections run on this thread, so a `Cell` is enough.
    let requests = Rc::new(Cell::new(0));
    serve("127.0.0.1:8001", move |stream, shutdown| {
        connection(stream, Rc::clone(&requests), shutdown)
    })
}

async fn connection(
    stream: TcpStream,
    requests: Rc<Cell<u64>>,
    shutdown: Shutdown,
) -> ConnectionResult {
    // The builder detects the HTTP version from the first bytes, without a time limit.
    if !first_byte(&stream, TIMEOUT, &shutdown).await? {
        return Ok(());
    }

    let service = service_fn(move |request| {
        requests.set(requests.get() + 1);
        let response = respond(request, requests.get());
        async move { Ok::<_, hyper::Error>(response) }
    });
    let mut builder = auto::Builder::new(WakefulExecutor);
    builder
        .http1()
        .timer(WakefulTimer)
        .header_read_timeout(TIMEOUT);
    builder
        .http2()
        .timer(WakefulTimer)
        .keep_alive_interval(TIMEOUT)
        // Limits the state that a client can make the server hold.
        .max_concurrent_streams(100);
    run_http(builder.serve_connection(stream, service), &shutdown).await
}

/// Returns the response. Its body is a fixed text, or the body of the request.
///
/// A request's body is passed on while it arrives and is never whole in memory.
fn respond(request: Request<Incoming>, number: u64) -> Response<Either<Full<Bytes>, Incoming>> {
    let text = |status, text: String| {
        let mut response = Response::new(Either::Left(Full::from(text)));
        *response.status_mut() = status;
        response
    };
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => text(StatusCode::OK, "Hello from Wakeful\n".to_owned()),
        (&Method::GET, "/count") => text(StatusCode::OK, format!("{number}\n")),
        (&Method::POST, "/echo") => Response::new(Either::Right(request.into_body())),
        (_, path) => text(StatusCode::NOT_FOUND, format!("nothing at {path}\n")),
    }
}
