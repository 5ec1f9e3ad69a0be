//! A PostgreSQL client on tokio-postgres: prints the results of queries.
//!
//! ```text
//! cargo run --bin postgres -- /run/postgresql/.s.PGSQL.5432 postgres "select 1 + 1" "select now()"
//! ```
//!
//! The arguments are a Unix socket or a TCP address, the user, and queries. All queries are sent at
//! once on one connection. tokio-postgres connects on a stream that it is given (`connect_raw`), so
//! that it needs tokio's traits but not its runtime.

use std::error::Error;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use ecosystem_common::describe;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};
use wakeful::time::timeout;
use wakeful_net::{TcpStream, UnixStream};

/// Time limit of the connection, the log-in included.
const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [server, user, queries @ ..] = &arguments[..] else {
        eprintln!("usage: postgres SOCKET|ADDRESS USER QUERY...");
        return ExitCode::FAILURE;
    };
    match wakeful::block_on(run(server, user, queries)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {server}: {}", describe(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Executes the queries and prints the rows in their order; fails if one of them fails.
async fn run(server: &str, user: &str, queries: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let client = timeout(TIMEOUT, async {
        if server.starts_with('/') {
            log_in(UnixStream::connect(server).await?, user).await
        } else {
            log_in(TcpStream::connect(server).await?, user).await
        }
    });
    let client = Rc::new(client.await??);
    let answers: Vec<_> = queries
        .iter()
        .map(|query| {
            let (client, query) = (Rc::clone(&client), query.clone());
            wakeful::spawn(async move { client.simple_query(&query).await })
        })
        .collect();
    let mut code = ExitCode::SUCCESS;
    for (query, answer) in queries.iter().zip(answers) {
        match answer.await? {
            Ok(messages) => print(&messages),
            Err(error) => {
                eprintln!("error: {query}: {}", describe(&error));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

/// Logs in on a stream and spawns the task that reads and writes it.
async fn log_in<S>(stream: S, user: &str) -> Result<Client, Box<dyn Error>>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (client, connection) = Config::new()
        .user(user)
        .dbname("postgres")
        .connect_raw(stream, NoTls)
        .await?;
    // Its error is the error of every query in progress as well.
    wakeful::spawn(async move { connection.await.ok() });
    Ok(client)
}

fn print(messages: &[SimpleQueryMessage]) {
    for message in messages {
        if let SimpleQueryMessage::Row(row) = message {
            let values: Vec<_> = (0..row.len())
                .map(|n| row.get(n).unwrap_or("NULL"))
                .collect();
            println!("{}", values.join("\t"));
        }
    }
}
