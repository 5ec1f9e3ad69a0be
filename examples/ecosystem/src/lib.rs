//! What the programs share: an address from the command line, a task for each connection, and an end.

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use wakeful::signal;
use wakeful_net::{TcpListener, TcpStream};

/// How many clients are served at once; more wait until one has left.
const CONNECTIONS: usize = 1000;

/// How long they have to finish after Ctrl-C.
const GRACE: Duration = Duration::from_secs(3);

/// What a connection may end with: any error, which is printed and concerns nobody else.
pub type Ended = Result<(), Box<dyn Error + Send + Sync>>;

/// Serves on the address that the command line gives, or on `default`, until Ctrl-C.
///
/// `handle` is called in a task of its own for each connection; nothing of it has to be `Send`.
pub fn serve(default: &str, handle: impl AsyncFn(TcpStream) -> Ended + 'static) -> ExitCode {
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
    handle: impl AsyncFn(TcpStream) -> Ended + 'static,
) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    let server = wakeful_net::serve(listener, async move |stream: TcpStream, peer| {
        let ended = async {
            // Answers are written whole: waiting to fill a segment would only delay them.
            stream.set_nodelay(true)?;
            handle(stream).await
        };
        if let Err(error) = ended.await {
            eprintln!("{peer}: {error}");
        }
    });
    let server = server
        .max_connections(CONNECTIONS)
        .on_accept_error(|error| eprintln!("clients have to wait: {error}"))
        .with_graceful_shutdown(signal::ctrl_c())
        .shutdown_timeout(GRACE);
    let cut_off = server.await?;
    if cut_off > 0 {
        eprintln!("{cut_off} connections were cut off");
    }
    Ok(())
}
