//! A WebSocket echo server on tokio-tungstenite.
//!
//! ```text
//! cargo run --bin tokio-websocket
//! python3 -m websockets ws://127.0.0.1:8005         # in a second terminal
//! ```
//!
//! tokio-tungstenite wraps any stream with tokio's traits, as those of `wakeful-net` are with the
//! feature `tokio-io`. Without its feature `connect` it compiles no part of tokio's runtime.

use std::process::ExitCode;
use std::time::Duration;

use ecosystem_common::{ConnectionResult, serve};
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use wakeful::Shutdown;
use wakeful::time::timeout;
use wakeful_net::TcpStream;

/// Time limit of the WebSocket handshake.
const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    serve("127.0.0.1:8005", connection)
}

async fn connection(stream: TcpStream, shutdown: Shutdown) -> ConnectionResult {
    // Limits the memory of a connection. A larger message ends it.
    let config = WebSocketConfig::default()
        .max_message_size(Some(1 << 20))
        .max_frame_size(Some(1 << 20))
        .max_write_buffer_size(4 << 20);
    let accepting = accept_async_with_config(stream, Some(config));
    let mut socket = timeout(TIMEOUT, accepting).await??;
    // `next` can be dropped while it waits: what has arrived of a message stays in the socket.
    while let Some(message) = shutdown.run_until_cancelled(socket.next()).await {
        let Some(message) = message.transpose()? else {
            return Ok(());
        };
        // tungstenite itself replies to pings and to a close, as part of the next read.
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(socket.close(None).await?)
}
