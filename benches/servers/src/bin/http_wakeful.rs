//! HTTP on Wakeful: hyper, or an axum router, on the streams of `wakeful-net`.

use std::error::Error;

use bench_servers::http::{Start, respond, router};
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::service::TowerToHyperService;
use wakeful::hyper::{WakefulExecutor, WakefulTimer};
use wakeful_net::{TcpListener, TcpStream};

fn main() -> Result<(), Box<dyn Error>> {
    let Start {
        listener,
        axum,
        http2,
    } = Start::from_command_line()?;
    wakeful::block_on(async {
        let listener = TcpListener::from_std(listener)?;
        let router = TowerToHyperService::new(router());
        loop {
            let (stream, _peer) = listener.accept().await?;
            stream.set_nodelay(true)?;
            if axum {
                wakeful::spawn(serve(stream, router.clone(), http2));
            } else {
                wakeful::spawn(serve(stream, service_fn(respond), http2));
            }
        }
    })
}

/// Serves a connection. Its outcome is ignored: clients end a run by closing their connections.
async fn serve<S>(stream: TcpStream, service: S, http2: bool)
where
    S: HttpService<Incoming, Error: Into<Box<dyn Error + Send + Sync>>, Future: 'static>,
    S::ResBody: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
{
    if http2 {
        let mut builder = http2::Builder::new(WakefulExecutor);
        let connection = builder
            .timer(WakefulTimer)
            .serve_connection(stream, service);
        connection.await.ok();
    } else {
        let mut builder = http1::Builder::new();
        let connection = builder
            .timer(WakefulTimer)
            .serve_connection(stream, service);
        connection.await.ok();
    }
}
