//! Shared by the programs: the address argument of the servers, a task for each connection, graceful
//! shutdown, and the text of an error.

use std::error::Error;
use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use wakeful::Shutdown;
use wakeful::signal::ctrl_c;
use wakeful::time::timeout;
use wakeful_net::{TcpListener, TcpStream};

/// Maximum number of open connections. Further clients wait until one has closed.
const MAX_CONNECTIONS: usize = 1000;

/// Time that busy connections have after Ctrl-C. Idle ones end at once.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Outcome of a connection. An error is printed and does not affect other connections.
pub type ConnectionResult = Result<(), Box<dyn Error + Send + Sync>>;

/// Listens on the address from the command line, or on `default`, and serves until Ctrl-C.
///
/// `handle` runs in a separate task for each connection and does not have to be `Send`. It should
/// return when the `Shutdown` finds it waiting for the client's next request.
pub fn serve(
    default: &str,
    handle: impl AsyncFn(TcpStream, Shutdown) -> ConnectionResult + 'static,
) -> ExitCode {
    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| default.to_owned());
    match wakeful::block_on(listen(&address, handle)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn listen(
    address: &str,
    handle: impl AsyncFn(TcpStream, Shutdown) -> ConnectionResult + 'static,
) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    let shutdown = Shutdown::new();
    let in_handler = shutdown.clone();
    let server = wakeful_net::serve(listener, async move |stream: TcpStream, peer| {
        let outcome = async {
            // Replies are written in one piece: Nagle's algorithm would only delay them.
            stream.set_nodelay(true)?;
            handle(stream, in_handler.clone()).await
        };
        if let Err(error) = outcome.await {
            eprintln!("{peer}: {}", describe(&*error));
        }
    });
    let server = server
        .max_connections(MAX_CONNECTIONS)
        .on_accept_error(|error| eprintln!("accept: {error}; retrying"))
        .with_graceful_shutdown(async move {
            ctrl_c().await.ok(); // an error: there is no other way to end, so it ends now
            let seconds = SHUTDOWN_TIMEOUT.as_secs();
            eprintln!(
                "shutting down: busy connections have {seconds} seconds; Ctrl-C again aborts them"
            );
            shutdown.cancel();
        })
        .shutdown_timeout(SHUTDOWN_TIMEOUT)
        .with_forced_shutdown(async || {
            ctrl_c().await.ok();
            eprintln!("second Ctrl-C: aborting the busy connections");
        });
    let aborted = server.await?;
    if aborted > 0 {
        eprintln!("connections aborted: {aborted}");
    }
    Ok(())
}

/// Runs an HTTP connection of hyper to its end.
///
/// When the shutdown begins, an idle keep-alive connection ends at once. A busy one ends after the
/// response in progress.
///
/// # Errors
///
/// Returns the error of the connection.
pub async fn run_http(
    connection: impl GracefulConnection<Error = Box<dyn Error + Send + Sync>>,
    shutdown: &Shutdown,
) -> ConnectionResult {
    let mut connection = pin!(connection);
    if let Some(outcome) = shutdown.run_until_cancelled(connection.as_mut()).await {
        return outcome;
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

/// Waits for the first byte of a client, at most for `limit`.
///
/// The result is `false` if the shutdown begins first.
///
/// # Errors
///
/// Returns the error of the stream, or that the time has elapsed.
pub async fn first_byte(
    stream: &TcpStream,
    limit: Duration,
    shutdown: &Shutdown,
) -> io::Result<bool> {
    let waiting = timeout(limit, stream.readable());
    match shutdown.run_until_cancelled(waiting).await {
        Some(outcome) => outcome?.map(|()| true),
        None => Ok(false),
    }
}

/// Returns the messages of an error and of its sources, which name the cause.
#[must_use]
pub fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
