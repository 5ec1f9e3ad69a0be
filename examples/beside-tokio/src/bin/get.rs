//! An HTTP client on hyper-util's connection pool. It needs no tokio runtime.
//!
//! ```text
//! cargo run --bin get -- http://127.0.0.1:8001/ http://127.0.0.1:8001/count
//! ```
//!
//! Gets all URLs at once and prints the responses in their order. The feature `hyper-util` of
//! `wakeful-net` has the connector. The program is in this folder because hyper-util compiles tokio's
//! `net` with its client. Nothing calls it.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{StatusCode, Uri};
use hyper_util::client::legacy::Client;
use wakeful::hyper::{WakefulExecutor, WakefulTimer};
use wakeful::time::timeout;
use wakeful_beside_tokio::finish;
use wakeful_net::hyper_util::WakefulConnector;

/// Time limits of a connection and of a request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

type HttpClient = Client<WakefulConnector, Empty<Bytes>>;

fn main() -> ExitCode {
    let urls: Vec<_> = std::env::args().skip(1).collect();
    if urls.is_empty() {
        eprintln!("usage: get URL...");
        return ExitCode::FAILURE;
    }
    finish(wakeful::block_on(run(urls)))
}

async fn run(urls: Vec<String>) -> Result<(), Box<dyn Error>> {
    let client: HttpClient = Client::builder(WakefulExecutor)
        .pool_timer(WakefulTimer)
        .build(WakefulConnector::new().connect_timeout(CONNECT_TIMEOUT));
    let mut requests = Vec::new();
    for url in urls {
        let uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
        requests.push(wakeful::spawn(get(client.clone(), uri)));
    }
    for request in requests {
        let (status, body) = request.await??;
        println!(
            "{} {}",
            status.as_u16(),
            String::from_utf8_lossy(&body).trim_end()
        );
    }
    Ok(())
}

async fn get(client: HttpClient, uri: Uri) -> Result<(StatusCode, Bytes), Box<dyn Error>> {
    timeout(REQUEST_TIMEOUT, async {
        let response = client.get(uri).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    })
    .await?
}
