//! What the programs share: an address from the command line, and a task for each connection.

use std::error::Error;
use std::future::Future;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use wakeful_net::{AcceptError, TcpListener, TcpStream, accept_error};

/// Serves on the address that the command line gives, or on `default`, until the process is ended.
///
/// `handle` makes the future of one connection. It becomes a task of its own and need not be `Send`;
/// its error is printed and concerns nobody else.
pub fn serve<H, F>(default: &str, handle: H) -> ExitCode
where
    H: Fn(TcpStream) -> F,
    F: Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + 'static,
{
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| default.to_owned());
    match wakeful::block_on(accept(&address, handle)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn accept<H, F>(address: &str, handle: H) -> io::Result<()>
where
    H: Fn(TcpStream) -> F,
    F: Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + 'static,
{
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => match accept_error(&error) {
                AcceptError::Fatal => return Err(error),
                // Out of descriptors, most likely: the clients wait, and so do we.
                _ => {
                    eprintln!("accept: {error}");
                    wakeful::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        // Answers are small and written whole: waiting to fill a segment would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            eprintln!("{peer}: {error}");
            continue;
        }
        let connection = handle(stream);
        drop(wakeful::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("{peer}: {error}");
            }
        }));
    }
}
