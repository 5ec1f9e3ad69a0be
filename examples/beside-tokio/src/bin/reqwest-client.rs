//! An HTTP client on reqwest, with a tokio runtime beside Wakeful's.
//!
//! ```text
//! cargo run --bin reqwest-client -- http://127.0.0.1:8001/ http://127.0.0.1:8001/count
//! ```
//!
//! Gets all URLs at once and prints the responses in their order. reqwest opens tokio's sockets, so it
//! panics without `enter`.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use reqwest::Client;
use wakeful_beside_tokio::finish;

/// Time limit of a request. reqwest's timer is tokio's.
const TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let urls: Vec<_> = std::env::args().skip(1).collect();
    if urls.is_empty() {
        eprintln!("usage: reqwest-client URL...");
        return ExitCode::FAILURE;
    }
    let tokio = match wakeful_beside_tokio::tokio() {
        Ok(tokio) => tokio,
        Err(error) => return finish(Err(error.into())),
    };
    let _context = tokio.enter();
    finish(wakeful::block_on(run(urls)))
}

async fn run(urls: Vec<String>) -> Result<(), Box<dyn Error>> {
    let client = Client::builder().timeout(TIMEOUT).build()?;
    // The futures are polled on this thread and need not be `Send`.
    let requests: Vec<_> = urls
        .into_iter()
        .map(|url| wakeful::spawn(get(client.clone(), url)))
        .collect();
    for request in requests {
        println!("{}", request.await??);
    }
    Ok(())
}

async fn get(client: Client, url: String) -> Result<String, reqwest::Error> {
    let response = client.get(url).send().await?;
    let status = response.status();
    let body = response.text().await?;
    Ok(format!("{} {}", status.as_u16(), body.trim_end()))
}
