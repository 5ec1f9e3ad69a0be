//! Shared by the programs: the address argument, a task for each connection, graceful shutdown.

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use wakeful::signal;
use wakeful_net::{TcpListener, TcpStream};

/// Maximum number of open connections. Further clients wait until one has closed.
const MAX_CONNECTIONS: usize = 1000;

/// Time that open connections have after Ctrl-C.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Outcome of a connection. An error is printed and does not affect other connections.
pub type ConnectionResult = Result<(), Box<dyn Error + Send + Sync>>;

/// Listens on the address from the command line, or on `default`, and serves until Ctrl-C.
///
/// `handle` runs in a separate task for each connection and does not have to be `Send`.
pub fn serve(
    default: &str,
    handle: impl AsyncFn(TcpStream) -> ConnectionResult + 'static,
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
    handle: impl AsyncFn(TcpStream) -> ConnectionResult + 'static,
) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    let server = wakeful_net::serve(listener, async move |stream: TcpStream, peer| {
        let outcome = async {
            // Replies are written in one piece: Nagle's algorithm would only delay them.
            stream.set_nodelay(true)?;
            handle(stream).await
        };
        if let Err(error) = outcome.await {
            eprintln!("{peer}: {error}");
        }
    });
    let server = server
        .max_connections(MAX_CONNECTIONS)
        .on_accept_error(|error| eprintln!("accept: {error}; retrying"))
        .with_graceful_shutdown(signal::ctrl_c())
        .shutdown_timeout(SHUTDOWN_TIMEOUT);
    let cut_off = server.await?;
    if cut_off > 0 {
        eprintln!("shutdown timeout: {cut_off} connections closed early");
    }
    Ok(())
}
