//! Several hosts: UDP between them, and Unix sockets on each.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::pending;
use std::io::ErrorKind;
use std::time::Duration;

use wakeful::runtime::Runtime;
use wakeful::time::{sleep, timeout};
use wakeful_net::{UdpSocket, UnixListener, UnixStream};
use wakeful_sim::{Faults, Hosts};

const SECOND: Duration = Duration::from_secs(1);

/// Runs a program's future on a runtime of its own.
fn run(future: impl Future<Output = ()>) {
    Runtime::new().unwrap().block_on(future);
}

/// Returns each datagram to its sender.
fn echo() {
    run(async {
        let socket = UdpSocket::bind("0.0.0.0:7000").await.unwrap();
        let mut buf = [0; 64];
        loop {
            let (count, from) = socket.recv_from(&mut buf).await.unwrap();
            socket.send_to(&buf[..count], from).await.unwrap();
        }
    });
}

/// Returns whether a datagram to the server comes back within a second.
async fn is_answered() -> bool {
    let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    socket.send_to(b"?", "server:7000").await.unwrap();
    timeout(SECOND, socket.recv_from(&mut [0; 64]))
        .await
        .is_ok()
}

wakeful_sim::test! {
    seeds = 40;
    faults = Faults::lossless();
    fn a_datagram_finds_its_host_and_the_answer_its_sender(sim: &Hosts) {
        sim.host("server", echo);
        sim.host("another", echo);
        sim.client("client", async || {
            let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
            socket.send_to(b"hello", "server:7000").await.unwrap();
            let mut buf = [0; 64];
            let (count, from) = socket.recv_from(&mut buf).await.unwrap();
            assert_eq!((&buf[..count], from.to_string()), (&b"hello"[..], "10.0.0.1:7000".to_owned()));
        });
    }
}

wakeful_sim::test! {
    seeds = 40;
    faults = Faults::lossless();
    fn datagrams_are_lost_in_a_partition_and_while_their_host_is_down(sim: &Hosts) {
        sim.host("server", echo);
        sim.client("client", async || {
            let mut answers = Vec::new();
            for _ in 0..6 {
                answers.push(is_answered().await);
                sleep(10 * SECOND).await;
            }
            assert_eq!(answers.iter().filter(|answer| !**answer).count(), 2, "{answers:?}");
        });
        sim.between(9 * SECOND, 14 * SECOND, |sim| sim.partition("client", "server"));
        sim.between(29 * SECOND, 35 * SECOND, |sim| sim.crash("server"));
    }
}

wakeful_sim::test! {
    seeds = 40;
    faults = Faults::lossless();
    fn a_datagram_to_a_port_of_another_host_that_is_not_bound_is_refused(sim: &Hosts) {
        sim.host("server", || run(pending()));
        sim.client("client", async || {
            let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
            socket.connect("server:7000").await.unwrap();
            socket.send(b"?").await.unwrap();
            let refused = timeout(SECOND, socket.recv(&mut [0; 64])).await.unwrap();
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        });
    }
}

wakeful_sim::test! {
    seeds = 40;
    faults = Faults::lossless();
    fn the_path_of_a_unix_socket_belongs_to_its_host(sim: &Hosts) {
        for name in ["one", "other"] {
            sim.client(name, move || async move {
                let listener = UnixListener::bind("/run/service.sock").unwrap();
                let server = wakeful::spawn(async move {
                    let (stream, _) = listener.accept().await.unwrap();
                    stream.write_all(name.as_bytes()).await.unwrap();
                });
                let stream = UnixStream::connect("/run/service.sock").await.unwrap();
                let mut text = Vec::new();
                let mut buf = [0; 64];
                while let count @ 1.. = stream.read(&mut buf).await.unwrap() {
                    text.extend_from_slice(&buf[..count]);
                }
                server.await.unwrap();
                assert_eq!(text, name.as_bytes());
            });
        }
        sim.client("third", async || {
            let missing = UnixStream::connect("/run/service.sock").await.unwrap_err();
            assert_eq!(missing.kind(), ErrorKind::NotFound);
        });
    }
}
