//! An HTTP server on hyper 1: HTTP/1.1 and HTTP/2 on one port.
//!
//! ```text
//! cargo run --bin http
//! curl --data hello http://127.0.0.1:8001/echo      # in a second terminal; try --http2-prior-knowledge
//! ```
//!
//! Feature `hyper` is what makes it short: a `TcpStream` goes into hyper as it is, and neither the
//! service nor its state has to be `Send`.

use std::cell::Cell;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::server::conn::auto;
use wakeful::hyper::{WakefulExecutor, WakefulTimer};
use wakeful::time::timeout;
use wakeful_ecosystem::{Ended, serve};
use wakeful_net::TcpStream;

/// How long a client may take to begin, and to send the head of a request.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    // All connections are on this thread, so a plain counter is shared.
    let answered = Rc::new(Cell::new(0));
    serve("127.0.0.1:8001", move |stream| {
        connection(stream, Rc::clone(&answered))
    })
}

async fn connection(stream: TcpStream, answered: Rc<Cell<u64>>) -> Ended {
    // The builder looks at the first bytes to tell HTTP/2 from HTTP/1; who sends none is let go.
    timeout(PATIENCE, stream.readable()).await??;

    let service = service_fn(move |request| {
        answered.set(answered.get() + 1);
        let answer = answer(request, answered.get());
        async move { Ok::<_, hyper::Error>(answer) }
    });
    let mut builder = auto::Builder::new(WakefulExecutor);
    builder
        .http1()
        .timer(WakefulTimer)
        .header_read_timeout(PATIENCE);
    builder
        .http2()
        .timer(WakefulTimer)
        .keep_alive_interval(PATIENCE)
        // Frames as they come: a client cannot make us keep more than this for it.
        .max_concurrent_streams(100);
    builder.serve_connection(stream, service).await
}

/// A body is a text of ours or the request's own, passed on while it comes: it is never whole in memory.
fn answer(request: Request<Incoming>, number: u64) -> Response<Either<Full<Bytes>, Incoming>> {
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
