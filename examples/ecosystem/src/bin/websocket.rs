//! A WebSocket echo server on async-tungstenite.
//!
//! ```text
//! cargo run --bin websocket
//! python3 -m websockets ws://127.0.0.1:8003         # in a second terminal
//! ```
//!
//! async-tungstenite wraps any futures-io stream, as those of `wakeful-net` are.

use std::process::ExitCode;
use std::time::Duration;

use async_tungstenite::accept_async_with_config;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use ecosystem_common::{ConnectionResult, serve};
use futures_util::StreamExt;
use wakeful::Shutdown;
use wakeful::time::timeout;
use wakeful_net::TcpStream;

/// Time limit of the WebSocket handshake.
const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    serve("127.0.0.1:8003", connection)
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
