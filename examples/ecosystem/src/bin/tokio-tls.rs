//! An echo server behind TLS, on tokio-rustls.
//!
//! ```text
//! openssl req -x509 -newkey ed25519 -nodes -subj /CN=localhost -keyout key.pem -out cert.pem
//! cargo run --bin tokio-tls -- 127.0.0.1:8006 cert.pem key.pem
//! openssl s_client -quiet -connect 127.0.0.1:8006   # in a second terminal
//! ```
//!
//! tokio-rustls wraps any stream with tokio's traits, as those of `wakeful-net` are with the feature
//! `tokio-io`, and is one itself.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ecosystem_common::{ConnectionResult, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use wakeful::Shutdown;
use wakeful::time::timeout;
use wakeful_net::TcpStream;

/// Time limit of the handshake.
const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let mut paths = std::env::args().skip(2);
    let (Some(certificate), Some(key), None) = (paths.next(), paths.next(), paths.next()) else {
        eprintln!("usage: tokio-tls ADDRESS CERTIFICATE.pem KEY.pem");
        return ExitCode::FAILURE;
    };
    let acceptor = match configure(&certificate, &key) {
        Ok(config) => TlsAcceptor::from(Arc::new(config)),
        Err(error) => {
            eprintln!("error: {certificate}, {key}: {error}");
            return ExitCode::FAILURE;
        }
    };
    serve("127.0.0.1:8006", move |stream, shutdown| {
        echo(acceptor.clone(), stream, shutdown)
    })
}

fn configure(certificate: &str, key: &str) -> Result<ServerConfig, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    // ring needs only a C compiler to build; rustls's default, aws-lc, needs more tools.
    let provider = Arc::new(ring::default_provider());
    Ok(ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?)
}

async fn echo(acceptor: TlsAcceptor, stream: TcpStream, shutdown: Shutdown) -> ConnectionResult {
    let mut stream = timeout(TIMEOUT, acceptor.accept(stream)).await??;
    let mut buffer = vec![0; 16 * 1024]; // the maximum size of a TLS record
    loop {
        let reading = shutdown.run_until_cancelled(stream.read(&mut buffer));
        let n = reading.await.unwrap_or(Ok(0))?;
        if n == 0 {
            // The client or this server ends. Sends close_notify, by which the peer distinguishes the
            // end from a truncation.
            return Ok(stream.shutdown().await?);
        }
        stream.write_all(&buffer[..n]).await?;
        // rustls buffers records until a flush.
        stream.flush().await?;
    }
}
