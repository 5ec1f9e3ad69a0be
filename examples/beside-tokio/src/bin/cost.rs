//! Measures what a tokio runtime beside Wakeful costs a client, against a client that needs none.
//!
//! ```text
//! cargo run --release --bin http-server
//! cargo run --release --bin cost -- http://127.0.0.1:8001/       # in a second terminal
//! ```
//!
//! Sends requests one after the other on one connection, with hyper-util's client and with reqwest, and
//! prints the cost of each: processor time and context switches, summed over the threads.

use std::error::Error;
use std::fs;
use std::process::ExitCode;

use http_body_util::{BodyExt, Empty};
use hyper::Uri;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use wakeful::hyper::WakefulExecutor;
use wakeful_beside_tokio::finish;
use wakeful_net::hyper_util::WakefulConnector;

/// Requests that are measured, after some that are not.
const REQUESTS: u32 = 2000;
const WARM_UP: u32 = 100;

fn main() -> ExitCode {
    let Some(url) = std::env::args().nth(1) else {
        eprintln!("usage: cost URL");
        return ExitCode::FAILURE;
    };
    finish(run(&url))
}

fn run(url: &str) -> Result<(), Box<dyn Error>> {
    wakeful::block_on(with_hyper_util(url.parse()?))?;
    let tokio = wakeful_beside_tokio::tokio()?;
    let _context = tokio.enter();
    wakeful::block_on(with_reqwest(url))
}

async fn with_hyper_util(uri: Uri) -> Result<(), Box<dyn Error>> {
    let client = Client::builder(WakefulExecutor).build(WakefulConnector::new());
    let client: Client<_, Empty<Bytes>> = client;
    measure("hyper-util", async || {
        let response = client.get(uri.clone()).await?;
        response.into_body().collect().await?;
        Ok(())
    })
    .await
}

async fn with_reqwest(url: &str) -> Result<(), Box<dyn Error>> {
    let client = reqwest::Client::new();
    measure("reqwest", async || {
        client.get(url).send().await?.bytes().await?;
        Ok(())
    })
    .await
}

/// Sends the requests and prints the cost of one.
async fn measure(
    name: &str,
    request: impl AsyncFn() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    for _ in 0..WARM_UP {
        request().await?;
    }
    let before = Usage::now()?;
    for _ in 0..REQUESTS {
        request().await?;
    }
    let after = Usage::now()?;
    let requests = f64::from(REQUESTS);
    let microseconds = (after.nanoseconds - before.nanoseconds) / 1000.0 / requests;
    let switches = (after.switches - before.switches) / requests;
    println!(
        "{name}: {microseconds:.0} us of processor time and {switches:.1} context switches per \
         request; {} threads, {} kB",
        after.threads, after.kilobytes
    );
    Ok(())
}

/// Sums over the threads of the process.
struct Usage {
    nanoseconds: f64,
    /// Waits, not preemptions by other processes.
    switches: f64,
    threads: usize,
    kilobytes: f64,
}

impl Usage {
    fn now() -> Result<Usage, Box<dyn Error>> {
        let status = fs::read_to_string("/proc/self/status")?;
        let mut usage = Usage {
            nanoseconds: 0.0,
            switches: 0.0,
            threads: 0,
            kilobytes: number(&status, "VmRSS:")?,
        };
        for thread in fs::read_dir("/proc/self/task")? {
            let folder = thread?.path();
            // The first number is the time on a processor, see proc(5).
            let times = fs::read_to_string(folder.join("schedstat"))?;
            usage.nanoseconds += number(&times, "")?;
            let status = fs::read_to_string(folder.join("status"))?;
            usage.switches += number(&status, "voluntary_ctxt_switches:")?;
            usage.threads += 1;
        }
        Ok(usage)
    }
}

/// Returns the first number of the line with a name.
fn number(text: &str, name: &str) -> Result<f64, Box<dyn Error>> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name));
    let word = rest.and_then(|rest| rest.split_whitespace().next());
    Ok(word.ok_or("a line is missing")?.parse()?)
}
