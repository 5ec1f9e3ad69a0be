//! A QUIC echo server on quinn.
//!
//! ```text
//! cargo run --bin quic -- 127.0.0.1:8007 cert.der
//! echo hello | cargo run --bin quic-client -- 127.0.0.1:8007 cert.der      # in a second terminal
//! ```
//!
//! The server creates a certificate for `localhost` and writes it to the file, for its clients.
//! `wakeful-quinn` in `extras/quinn` implements quinn's runtime trait.

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ecosystem_common::describe;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::rustls::ServerConfig as TlsConfig;
use quinn::rustls::crypto::ring;
use quinn::rustls::pki_types::PrivatePkcs8KeyDer;
use quinn::{
    Connection, ConnectionError, Endpoint, EndpointConfig, Incoming, RecvStream, SendStream,
    ServerConfig, TransportConfig,
};
use wakeful::Shutdown;
use wakeful::signal::ctrl_c;
use wakeful::time::timeout;
use wakeful_quinn::WakefulRuntime;

/// Time after which a connection ends from whose client nothing has arrived.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time that clients have after Ctrl-C to confirm the end of their connection.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Maximum number of open connections. Further clients are refused.
const MAX_CONNECTIONS: usize = 1000;

/// The protocol that clients have to name (ALPN).
const PROTOCOL: &[u8] = b"echo";

type BoxError = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(path), None) = (arguments.next(), arguments.next(), arguments.next())
    else {
        eprintln!("usage: quic ADDRESS CERTIFICATE.der");
        return ExitCode::FAILURE;
    };
    match wakeful::block_on(run(&address, &path)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", describe(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(address: &str, path: &str) -> Result<(), BoxError> {
    let address: SocketAddr = address
        .parse()
        .map_err(|_| format!("{address}: not an address; an example is 127.0.0.1:8007"))?;
    let config = configure(path).map_err(|error| format!("{path}: {error}"))?;
    let socket = UdpSocket::bind(address).map_err(|error| format!("bind {address}: {error}"))?;
    let runtime = Arc::new(WakefulRuntime);
    let endpoint = Endpoint::new(EndpointConfig::default(), Some(config), socket, runtime)?;
    println!("listening on {}", endpoint.local_addr()?);

    let shutdown = Shutdown::new();
    wakeful::spawn({
        let shutdown = shutdown.clone();
        async move {
            ctrl_c().await.ok(); // an error: there is no other way to end, so it ends now
            shutdown.cancel();
        }
    });
    while let Some(Some(incoming)) = shutdown.run_until_cancelled(endpoint.accept()).await {
        if endpoint.open_connections() >= MAX_CONNECTIONS {
            incoming.refuse();
            continue;
        }
        wakeful::spawn(async move {
            let peer = incoming.remote_address();
            if let Err(error) = serve(incoming).await {
                eprintln!("{peer}: {}", describe(&*error));
            }
        });
    }
    eprintln!("shutting down: closing all connections");
    endpoint.close(0_u32.into(), b"the server ends");
    timeout(SHUTDOWN_TIMEOUT, endpoint.wait_idle()).await.ok();
    Ok(())
}

/// Creates a certificate, writes it to `path`, and returns the configuration of the server.
fn configure(path: &str) -> Result<ServerConfig, BoxError> {
    let generated = rcgen::generate_simple_self_signed([String::from("localhost")])?;
    let key = PrivatePkcs8KeyDer::from(generated.signing_key.serialize_der());
    std::fs::write(path, generated.cert.der())?;
    let provider = Arc::new(ring::default_provider());
    let mut tls = TlsConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![generated.cert.into()], key.into())?;
    tls.alpn_protocols = vec![PROTOCOL.to_vec()];
    let mut transport = TransportConfig::default();
    transport.max_idle_timeout(Some(IDLE_TIMEOUT.try_into()?));
    // Limits the state that a client can make the server hold.
    transport.max_concurrent_bidi_streams(16_u32.into());
    transport.max_concurrent_uni_streams(0_u32.into());
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Serves the streams of a connection, each in a task.
async fn serve(incoming: Incoming) -> Result<(), BoxError> {
    let connection: Connection = incoming.await?;
    loop {
        match connection.accept_bi().await {
            Ok((send, receive)) => {
                wakeful::spawn(async move {
                    // An error means that the connection has ended, which `accept_bi` reports.
                    echo(send, receive).await.ok();
                });
            }
            Err(ConnectionError::ApplicationClosed(_) | ConnectionError::LocallyClosed) => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn echo(mut send: SendStream, mut receive: RecvStream) -> Result<(), BoxError> {
    // While the client does not read, its next bytes are not read: QUIC stops it.
    while let Some(chunk) = receive.read_chunk(16 * 1024, true).await? {
        send.write_chunk(chunk.bytes).await?;
    }
    Ok(send.finish()?)
}
