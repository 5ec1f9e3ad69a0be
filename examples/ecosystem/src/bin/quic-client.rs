//! A QUIC client on quinn: sends stdin on a stream and prints what comes back.
//!
//! ```text
//! echo hello | cargo run --bin quic-client -- 127.0.0.1:8007 cert.der
//! ```
//!
//! The file holds the certificate of the server, which the program `quic` writes.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ecosystem_common::describe;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::rustls::crypto::ring;
use quinn::rustls::pki_types::CertificateDer;
use quinn::rustls::{ClientConfig as TlsConfig, RootCertStore};
use quinn::{ClientConfig, Endpoint, EndpointConfig, SendStream};
use wakeful::task::spawn_blocking;
use wakeful::time::timeout;
use wakeful_quinn::WakefulRuntime;

/// Time limit of the handshake.
const TIMEOUT: Duration = Duration::from_secs(10);

type BoxError = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(path), None) = (arguments.next(), arguments.next(), arguments.next())
    else {
        eprintln!("usage: quic-client ADDRESS CERTIFICATE.der");
        return ExitCode::FAILURE;
    };
    match wakeful::block_on(run(&address, &path)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {address}: {}", describe(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(address: &str, path: &str) -> Result<(), BoxError> {
    let address: SocketAddr = address
        .parse()
        .map_err(|_| "not an address; an example is 127.0.0.1:8007")?;
    let config = configure(path).map_err(|error| format!("{path}: {error}"))?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let runtime = Arc::new(WakefulRuntime);
    let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, runtime)?;
    let connecting = endpoint.connect_with(config, address, "localhost")?;
    let connection = timeout(TIMEOUT, connecting).await??;

    let (send, mut receive) = connection.open_bi().await?;
    let sending = wakeful::spawn(send_stdin(send));
    while let Some(chunk) = receive.read_chunk(16 * 1024, true).await? {
        let mut stdout = std::io::stdout();
        stdout.write_all(&chunk.bytes)?;
        stdout.flush()?;
    }
    sending.await??;
    connection.close(0_u32.into(), b"done");
    endpoint.wait_idle().await;
    Ok(())
}

fn configure(path: &str) -> Result<ClientConfig, BoxError> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(std::fs::read(path)?))?;
    let provider = Arc::new(ring::default_provider());
    let mut tls = TlsConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"echo".to_vec()];
    Ok(ClientConfig::new(Arc::new(QuicClientConfig::try_from(
        tls,
    )?)))
}

/// Sends stdin until its end. A thread of the blocking pool reads it.
async fn send_stdin(mut send: SendStream) -> Result<(), BoxError> {
    loop {
        let chunk = spawn_blocking(|| {
            let mut chunk = vec![0; 16 * 1024];
            let n = std::io::stdin().read(&mut chunk)?;
            chunk.truncate(n);
            std::io::Result::Ok(chunk)
        });
        let chunk = chunk.await??;
        if chunk.is_empty() {
            return Ok(send.finish()?);
        }
        send.write_all(&chunk).await?;
    }
}
