//! Feature `hyper-util`: hyper-util's pooled client on Wakeful's streams and connector.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;
use wakeful::hyper::{WakefulExecutor, WakefulTimer};
use wakeful::runtime::Builder;
use wakeful::task::yield_now;
use wakeful_feature_tests::{pattern, run};
use wakeful_net::hyper_util::WakefulConnector;
use wakeful_net::{TcpListener, TcpStream, UnixListener, UnixStream};

type Body = Full<Bytes>;

/// An HTTP/1 server that echoes bodies, and the numbers that it has counted.
struct Server {
    uri: Uri,
    connections: Rc<Cell<usize>>,
    open: Rc<Cell<usize>>,
}

impl Server {
    async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server {
            uri: format!("http://{address}/").parse().unwrap(),
            connections: Rc::default(),
            open: Rc::default(),
        };
        let (connections, open) = (Rc::clone(&server.connections), Rc::clone(&server.open));
        wakeful::spawn(wakeful_net::serve(
            listener,
            async move |stream: TcpStream, _peer| {
                connections.set(connections.get() + 1);
                open.set(open.get() + 1);
                http1::Builder::new()
                    .serve_connection(stream, service_fn(echo))
                    .await
                    .ok();
                open.set(open.get() - 1);
            },
        ));
        server
    }
}

async fn echo(request: Request<Incoming>) -> hyper::Result<Response<Body>> {
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Full::new(body)))
}

/// Sends a body and asserts that it is echoed.
async fn exchange<C>(client: &Client<C, Body>, uri: &Uri, body: Vec<u8>)
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let request = Request::post(uri).body(body.clone().into()).unwrap();
    let response = client.request(request).await.unwrap();
    let echoed = response.into_body().collect().await.unwrap().to_bytes();
    assert!(echoed == body);
}

fn client() -> Client<WakefulConnector, Body> {
    Client::builder(WakefulExecutor)
        .pool_timer(WakefulTimer)
        .build(WakefulConnector::new())
}

#[test]
fn sequential_requests_reuse_one_connection() {
    run(async {
        let server = Server::start().await;
        let client = client();
        for n in 0..200 {
            exchange(&client, &server.uri, pattern(n * 100)).await;
            // A task of hyper's returns the connection to the pool after the end of the body.
            yield_now().await;
        }
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn concurrent_requests_open_connections_and_return_them_to_the_pool() {
    run(async {
        let server = Server::start().await;
        let client = client();
        for _ in 0..2 {
            let tasks: Vec<_> = (0..20)
                .map(|n| {
                    let (client, uri) = (client.clone(), server.uri.clone());
                    wakeful::spawn(
                        async move { exchange(&client, &uri, pattern(n * 10_000)).await },
                    )
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        }
        let connections = server.connections.get();
        assert!((1..=20).contains(&connections), "{connections}");
    });
}

#[test]
fn idle_connections_are_closed_by_the_runtimes_clock() {
    let runtime = Builder::new().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let server = Server::start().await;
        let client: Client<_, Body> = Client::builder(WakefulExecutor)
            .pool_timer(WakefulTimer)
            .pool_idle_timeout(Duration::from_secs(30))
            .build(WakefulConnector::new());
        exchange(&client, &server.uri, pattern(10)).await;
        yield_now().await;
        assert_eq!(server.open.get(), 1);
        wakeful::time::advance(Duration::from_secs(29)).await;
        yield_now().await;
        assert_eq!(server.open.get(), 1);
        for _ in 0..1000 {
            wakeful::time::advance(Duration::from_secs(1)).await;
            yield_now().await;
        }
        assert_eq!(server.open.get(), 0);
    });
}

#[test]
fn http_2_multiplexes_requests_on_one_connection() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Rc::new(Cell::new(0));
        let count = Rc::clone(&connections);
        wakeful::spawn(wakeful_net::serve(
            listener,
            async move |stream: TcpStream, _peer| {
                count.set(count.get() + 1);
                http2::Builder::new(WakefulExecutor)
                    .serve_connection(stream, service_fn(echo))
                    .await
                    .ok();
            },
        ));
        let client: Client<_, Body> = Client::builder(WakefulExecutor)
            .timer(WakefulTimer)
            .http2_only(true)
            .build(WakefulConnector::new());
        let uri: Uri = format!("http://{address}/").parse().unwrap();
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                let (client, uri) = (client.clone(), uri.clone());
                wakeful::spawn(async move { exchange(&client, &uri, pattern(n * 10_000)).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(connections.get(), 1);
    });
}

/// Connects every URI to a path, as a user's own connector can.
#[derive(Clone)]
struct ByPath(std::path::PathBuf);

impl tower_service::Service<Uri> for ByPath {
    type Response = UnixStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<UnixStream>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Self::Future {
        let path = self.0.clone();
        Box::pin(async move { UnixStream::connect(path).await })
    }
}

#[test]
fn a_connector_of_the_user_can_return_unix_streams() {
    run(async {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("hyper-util.sock");
        std::fs::remove_file(&path).ok();
        let listener = UnixListener::bind(&path).unwrap();
        wakeful::spawn(wakeful_net::serve(
            listener,
            async |stream: UnixStream, _peer| {
                http1::Builder::new()
                    .serve_connection(stream, service_fn(echo))
                    .await
                    .ok();
            },
        ));
        let client: Client<_, Body> = Client::builder(WakefulExecutor).build(ByPath(path));
        let uri = Uri::from_static("http://localhost/");
        exchange(&client, &uri, pattern(100_000)).await;
    });
}

/// Returns the messages of an error and its sources.
fn messages(error: &dyn Error) -> Vec<String> {
    let mut messages = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        messages.push(error.to_string());
        source = error.source();
    }
    messages
}

/// Sends a request that fails; returns the messages and the kind of the `io::Error` among them.
async fn refusal(connector: WakefulConnector, uri: &str) -> (String, io::ErrorKind) {
    let client: Client<_, Body> = Client::builder(WakefulExecutor).build(connector);
    let error = client.get(uri.parse().unwrap()).await.unwrap_err();
    let mut source: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return (messages(error).concat(), error.kind());
        }
        source = error.source();
    }
    panic!("no io::Error in {:?}", messages(&error));
}

#[test]
fn errors_name_the_address_or_what_is_allowed() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let connector = WakefulConnector::new();
        let (text, kind) = refusal(connector.clone(), &format!("http://{address}/")).await;
        assert!(
            text.starts_with(&format!("connect {address}: Connection refused")),
            "{text}"
        );
        assert_eq!(kind, io::ErrorKind::ConnectionRefused);
        let (text, kind) = refusal(connector.clone(), "https://localhost/").await;
        assert_eq!(
            text,
            "connect to https://localhost/: the scheme is https; WakefulConnector allows only http"
        );
        assert_eq!(kind, io::ErrorKind::InvalidInput);
        // Without the check it connects as to any other host.
        let any = connector.enforce_http(false);
        let (_, kind) = refusal(any, &format!("https://{address}/")).await;
        assert_eq!(kind, io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn brackets_of_an_ipv6_address_are_removed() {
    run(async {
        let Ok(listener) = TcpListener::bind("[::1]:0").await else {
            return; // a machine without IPv6
        };
        let uri: Uri = format!("http://{}/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        wakeful::spawn(wakeful_net::serve(
            listener,
            async |stream: TcpStream, _peer| {
                http1::Builder::new()
                    .serve_connection(stream, service_fn(echo))
                    .await
                    .ok();
            },
        ));
        exchange(&client(), &uri, pattern(10)).await;
    });
}

#[test]
fn the_connect_timeout_ends_an_attempt() {
    // The queue of this listener is full after a few clients, and further ones wait for an answer.
    let runtime = Builder::new().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let connector = WakefulConnector::new().connect_timeout(Duration::from_secs(7));
        let socket = wakeful_net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let waiting = Rc::new(RefCell::new(Vec::new()));
        for _ in 0..8 {
            let waiting = Rc::clone(&waiting);
            wakeful::spawn(async move {
                let stream = TcpStream::connect(address).await;
                waiting.borrow_mut().push(stream);
                pending::<()>().await;
            });
        }
        yield_now().await;
        let uri = format!("http://{address}/");
        let request = wakeful::spawn(async move { refusal(connector, &uri).await });
        // The paused clock does not jump while a task waits for a socket.
        yield_now().await;
        wakeful::time::advance(Duration::from_secs(8)).await;
        let (text, kind) = request.await.unwrap();
        assert_eq!(kind, io::ErrorKind::TimedOut, "{text}");
    });
}

#[test]
fn a_server_that_disconnects_in_the_middle_of_a_response_is_an_error() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri: Uri = format!("http://{}/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        wakeful::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            stream.read(&mut [0; 1024]).await.unwrap();
            let half = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf";
            stream.write_all(half).await.unwrap();
        });
        let response = client().get(uri).await.unwrap();
        let error = response.into_body().collect().await.unwrap_err();
        assert_eq!(
            messages(&error).concat(),
            "error reading a body from connectionend of file before message length reached"
        );
    });
}
