//! A Redis client on redis-rs, with a tokio runtime beside Wakeful's.
//!
//! ```text
//! cargo run --bin redis-client -- redis://127.0.0.1:6379 "incr n" "incr m"
//! ```
//!
//! Sends all commands at once on one connection, so they can be executed in another order. redis-rs
//! looks for a runtime even if it is given a stream, so Wakeful's streams do not help.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError, Value};
use wakeful_beside_tokio::finish;

/// Time limit of the connection. Replies have none: a command such as `blpop` waits for others.
const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(url) = arguments.next() else {
        eprintln!("usage: redis-client URL COMMAND...");
        return ExitCode::FAILURE;
    };
    let tokio = match wakeful_beside_tokio::tokio() {
        Ok(tokio) => tokio,
        Err(error) => return finish(Err(error.into())),
    };
    let _context = tokio.enter();
    finish(wakeful::block_on(run(&url, arguments.collect())))
}

async fn run(url: &str, commands: Vec<String>) -> Result<(), Box<dyn Error>> {
    let client = redis::Client::open(url)?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(None);
    // redis-rs spawns the task of the connection on tokio's thread.
    let connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    let replies: Vec<_> = commands
        .into_iter()
        .map(|command| wakeful::spawn(execute(connection.clone(), command)))
        .collect();
    for reply in replies {
        println!("{:?}", reply.await??);
    }
    Ok(())
}

async fn execute(
    mut connection: MultiplexedConnection,
    command: String,
) -> Result<Value, RedisError> {
    let mut words = command.split_whitespace();
    let mut command = redis::cmd(words.next().unwrap_or_default());
    for word in words {
        command.arg(word);
    }
    command.query_async(&mut connection).await
}
