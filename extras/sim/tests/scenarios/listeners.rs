//! Connections: refused, accepted by several tasks, many at once.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use wakeful::task::consume_budget;
use wakeful::time::{sleep, timeout};
use wakeful_net::{TcpListener, TcpStream, serve};
use wakeful_sim::Sim;

use super::{ask, echo};

const PAUSE: Duration = Duration::from_millis(1);

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

pub(super) async fn a_refused_connection_says_so(_: Sim) {
    let (listener, address) = listen().await;
    drop(listener);
    let error = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
}

pub(super) async fn two_tasks_accept_on_one_listener(_: Sim) {
    let (listener, address) = listen().await;
    let listener = Rc::new(listener);
    let servers = [(); 2].map(|()| {
        let listener = Rc::clone(&listener);
        wakeful::spawn(async move { echo(listener.accept().await.unwrap().0).await })
    });
    sleep(PAUSE).await;
    for _ in 0..2 {
        let stream = TcpStream::connect(address).await.unwrap();
        ask(&stream, b"hello").await;
    }
    for server in servers {
        server.await.unwrap();
    }
}

/// One of the tasks waits for a limited time, and gives up if the connections are late.
pub(super) async fn one_of_three_accepts_gives_up(_: Sim) {
    let (listener, address) = listen().await;
    let listener = Rc::new(listener);
    let servers = [Duration::MAX, PAUSE * 7 / 10, Duration::MAX].map(|limit| {
        let listener = Rc::clone(&listener);
        wakeful::spawn(async move {
            if let Ok(accepted) = timeout(limit, listener.accept()).await {
                echo(accepted.unwrap().0).await;
            }
        })
    });
    let clients = [(); 2].map(|()| {
        wakeful::spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            ask(&stream, b"hello").await;
        })
    });
    for client in clients {
        client.await.unwrap();
    }
    for server in servers {
        server.abort();
    }
}

pub(super) async fn clients_that_come_together_are_served(_: Sim) {
    let (listener, address) = listen().await;
    let clients = [(); 4].map(|()| {
        wakeful::spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            ask(&stream, b"hello").await;
        })
    });
    sleep(PAUSE).await;
    for _ in 0..4 {
        let (stream, _) = listener.accept().await.unwrap();
        wakeful::spawn(echo(stream));
    }
    for client in clients {
        client.await.unwrap();
    }
}

/// Each task uses up more of its budget before it accepts.
pub(super) async fn a_task_without_budget_accepts(_: Sim) {
    let (listener, address) = listen().await;
    let listener = Rc::new(listener);
    for used in 120..130 {
        let client = wakeful::spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            ask(&stream, b"hello").await;
        });
        sleep(PAUSE).await;
        let listener = Rc::clone(&listener);
        let server = wakeful::spawn(async move {
            for _ in 0..used {
                consume_budget().await;
            }
            echo(listener.accept().await.unwrap().0).await;
        });
        client.await.unwrap();
        server.await.unwrap();
    }
}

pub(super) async fn a_full_server_accepts_again(_: Sim) {
    let (listener, address) = listen().await;
    let server = serve(listener, async |stream, _| echo(stream).await).max_connections(1);
    let server = wakeful::spawn(server);
    let clients = [(); 3].map(|()| {
        wakeful::spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            ask(&stream, b"hello").await;
        })
    });
    for client in clients {
        client.await.unwrap();
    }
    server.abort();
}
