//! Accepting while accept(2) fails now and then.

use std::time::Duration;

use wakeful::time::sleep;
use wakeful_net::{AcceptErrorKind, TcpListener, TcpStream, classify_accept_error, serve};
use wakeful_sim::Sim;

use super::{ask, echo};

/// After a shortage the connection is still in the queue, and no other client comes.
pub(super) async fn a_server_outlasts_shortages(_: Sim) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = wakeful::spawn(serve(listener, async |stream, _| echo(stream).await));
    for _ in 0..3 {
        let stream = TcpStream::connect(address).await.unwrap();
        ask(&stream, b"hello").await;
    }
    server.abort();
}

pub(super) async fn lost_connections_are_skipped(_: Sim) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = wakeful::spawn(async move {
        let stream = TcpStream::connect(address).await.unwrap();
        ask(&stream, b"hello").await;
    });
    let stream = loop {
        match listener.accept().await {
            Ok((stream, _)) => break stream,
            Err(error) => {
                assert_eq!(
                    classify_accept_error(&error),
                    AcceptErrorKind::Backoff,
                    "{error}"
                );
                sleep(Duration::from_millis(10)).await;
            }
        }
    };
    echo(stream).await;
    client.await.unwrap();
}
