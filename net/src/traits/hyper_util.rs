//! Feature `hyper-util`: the pooled HTTP client of hyper-util on Wakeful's streams.
//!
//! [`TcpStream`] and [`UnixStream`] implement hyper-util's [`Connection`], which only this crate can
//! do for its own types. [`WakefulConnector`] connects the client to the host of a URI.
//!
//! ```text
//! legacy::Client -- Uri --> WakefulConnector -- connect --> TcpStream
//!        |                                                      |
//!        +--- requests, pool of idle connections <--------------+
//! ```
//!
//! The client spawns a task for each connection through `wakeful::hyper::WakefulExecutor`.
//! hyper-util compiles tokio's `net` for a connector of its own. Nothing here calls it, and no
//! runtime of tokio is started.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ::hyper_util::client::legacy::connect::{Connected, Connection};
use tower_service::Service;
use wakeful::hyper::hyper::Uri;

use crate::tcp::TcpStream;
use crate::unix::UnixStream;

impl Connection for TcpStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Connection for UnixStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// Connects hyper-util's `Client` by TCP, without TLS.
///
/// Looks up the host of the URI without blocking the thread, and tries its addresses in order. The
/// port is that of the URI, or else 80. Small requests are sent at once (`TCP_NODELAY`).
///
/// A connector for TLS can be built around it: see [`enforce_http`](Self::enforce_http).
///
/// # Errors
///
/// The client's error has an [`io::Error`] as its source:
///
/// - `InvalidInput` if the URI has no host, or a scheme other than `http`;
/// - that of [`TcpStream::connect`], with the address;
/// - `TimedOut` after the [connect timeout](Self::connect_timeout).
///
/// # Panics
///
/// The future of the connection panics if it is polled outside a runtime.
///
/// # Examples
///
/// ```
/// use hyper_util::client::legacy::Client;
/// use wakeful::hyper::{WakefulExecutor, WakefulTimer};
/// use wakeful_net::hyper_util::WakefulConnector;
///
/// # wakeful::block_on(async {
/// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
/// # let address = listener.local_addr()?;
/// # wakeful::spawn(async move {
/// #     let (stream, _) = listener.accept().await.unwrap();
/// #     stream.read(&mut [0; 1024]).await.unwrap();
/// #     stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await.unwrap();
/// # });
/// let client: Client<_, String> = Client::builder(WakefulExecutor)
///     .pool_timer(WakefulTimer) // without a timer idle connections are never closed
///     .build(WakefulConnector::new());
/// let response = client.get(format!("http://{address}/").parse()?).await?;
/// assert_eq!(response.status(), 200);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct WakefulConnector {
    connect_timeout: Option<Duration>,
    enforce_http: bool,
}

impl Default for WakefulConnector {
    fn default() -> Self {
        Self::new()
    }
}

impl WakefulConnector {
    /// Creates a connector for the scheme `http` without a connect timeout.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            connect_timeout: None,
            enforce_http: true,
        }
    }

    /// Limits the time of a connection attempt, the lookup and all addresses included.
    ///
    /// Without it the kernel's limit applies to each address, about two minutes.
    #[must_use]
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = Some(limit);
        self
    }

    /// Sets whether schemes other than `http` are refused. The default is `true`.
    ///
    /// With `false` the connector accepts any scheme and still connects without TLS; the default port
    /// of `https` is 443. For a connector that calls this one and then does the TLS handshake.
    #[must_use]
    pub const fn enforce_http(mut self, enforce: bool) -> Self {
        self.enforce_http = enforce;
        self
    }

    /// Returns the host and the port to connect to.
    fn target(&self, uri: &Uri) -> io::Result<(String, u16)> {
        let scheme = uri.scheme_str().unwrap_or("http");
        if self.enforce_http && scheme != "http" {
            return Err(invalid(format_args!(
                "connect to {uri}: the scheme is {scheme}; WakefulConnector allows only http"
            )));
        }
        let Some(host) = uri.host() else {
            return Err(invalid(format_args!("connect to {uri}: it has no host")));
        };
        // An IPv6 address has brackets in a URI.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let default_port = if scheme == "https" { 443 } else { 80 };
        Ok((host.to_owned(), uri.port_u16().unwrap_or(default_port)))
    }
}

fn invalid(message: fmt::Arguments<'_>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message.to_string())
}

impl Service<Uri> for WakefulConnector {
    type Response = TcpStream;
    type Error = io::Error;
    type Future = ConnectFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> ConnectFuture {
        let target = self.target(&uri);
        let limit = self.connect_timeout;
        ConnectFuture(Box::pin(async move {
            let target = target?;
            let stream = match limit {
                Some(limit) => TcpStream::connect_timeout(target, limit).await?,
                None => TcpStream::connect(target).await?,
            };
            stream.set_nodelay(true)?;
            Ok(stream)
        }))
    }
}

/// The future of a connection of [`WakefulConnector`].
///
/// # Cancel safety
///
/// Safe. Dropping the future ends the attempt and closes its socket.
#[must_use = "futures do nothing unless polled or awaited"]
pub struct ConnectFuture(Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>);

impl Future for ConnectFuture {
    type Output = io::Result<TcpStream>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ConnectFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectFuture").finish_non_exhaustive()
    }
}
