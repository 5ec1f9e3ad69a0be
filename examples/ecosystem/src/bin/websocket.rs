//! A WebSocket server on async-tungstenite: whatever a client says comes back.
//!
//! ```text
//! cargo run --bin websocket
//! python3 -m websockets ws://127.0.0.1:8003         # in a second terminal
//! ```
//!
//! async-tungstenite takes any futures-io stream, and the streams of `wakeful-net` are such.

use std::process::ExitCode;
use std::time::Duration;

use async_tungstenite::accept_async_with_config;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use futures_util::StreamExt;
use wakeful::time::timeout;
use wakeful_ecosystem::{Ended, serve};
use wakeful_net::TcpStream;

/// How long a client may take to ask for a WebSocket.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    serve("127.0.0.1:8003", connection)
}

async fn connection(stream: TcpStream) -> Ended {
    // Larger messages end the connection: nobody can make us keep more than this.
    let config = WebSocketConfig::default()
        .max_message_size(Some(1 << 20))
        .max_frame_size(Some(1 << 20))
        .max_write_buffer_size(4 << 20);
    let accepting = accept_async_with_config(stream, Some(config));
    let mut socket = timeout(PATIENCE, accepting).await??;
    while let Some(message) = socket.next().await {
        let message = message?;
        // Pings are answered and a close is confirmed by tungstenite itself, as we go on reading.
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
