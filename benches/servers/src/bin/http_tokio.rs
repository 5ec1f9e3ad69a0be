//! HTTP on tokio's current-thread runtime: hyper, or an axum router, with the adapters of hyper-util.

use std::error::Error;

use bench_servers::http::{Start, respond, router};
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

fn main() -> Result<(), Box<dyn Error>> {
    let Start {
        listener,
        axum,
        http2,
    } = Start::from_command_line()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        let router = TowerToHyperService::new(router());
        loop {
            let (stream, _peer) = listener.accept().await?;
            stream.set_nodelay(true)?;
            if axum {
                tokio::spawn(serve(stream, router.clone(), http2));
            } else {
                tokio::spawn(serve(stream, service_fn(respond), http2));
            }
        }
    })
}

/// Serves a connection. Its outcome is ignored: clients end a run by closing their connections.
async fn serve<S>(stream: TcpStream, service: S, http2: bool)
where
    S: HttpService<Incoming, Error: Into<Box<dyn Error + Send + Sync>>, Future: Send + 'static>,
    S::ResBody: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let stream = TokioIo::new(stream);
    if http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let connection = builder
            .timer(TokioTimer::new())
            .serve_connection(stream, service);
        connection.await.ok();
    } else {
        let mut builder = http1::Builder::new();
        let connection = builder
            .timer(TokioTimer::new())
            .serve_connection(stream, service);
        connection.await.ok();
    }
}
