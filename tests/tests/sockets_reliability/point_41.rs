//! Point 41. A canceled read, accept, connect or write loses no byte and no connection, and the
//! socket stays usable; a select loop over `read` for 10^5 rounds preserves a hash.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{Read as _, Write as _};
use std::net::TcpStream as StdStream;
use std::thread;

use futures_lite::future;
use wakeful_net::{TcpSocket, TcpStream, UnixStream};
use wakeful_tests::net_support::{listen, pattern, run, settle, tcp_and_std};

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

#[test]
fn a_select_loop_over_read_keeps_every_byte_for_100_000_rounds() {
    run(async {
        const ROUNDS: usize = 100_000;
        let (server, mut peer) = tcp_and_std().await;
        let bytes = pattern(4 << 20, 41);
        let expected = hash(&bytes);
        // The peer sends one piece per round, so that most reads find nothing.
        let (ticket, tickets) = std::sync::mpsc::sync_channel(64);
        let writer = thread::spawn(move || {
            let mut random = fastrand::Rng::with_seed(41);
            let mut rest = &bytes[..];
            while tickets.recv().is_ok() {
                let (now, later) = rest.split_at(random.usize(0..60).min(rest.len()));
                peer.write_all(now).unwrap();
                rest = later;
            }
            peer.write_all(rest).unwrap();
        });

        let mut random = fastrand::Rng::with_seed(14);
        let (mut got, mut buf) = (Vec::new(), [0; 256]);
        let (mut read, mut cancelled) = (0, 0);
        for _ in 0..ROUNDS {
            if ticket.try_send(()).is_err() {
                // The peer is behind; its queue has enough pieces already.
            }
            let len = random.usize(1..=buf.len());
            let cancel = async {
                wakeful::task::yield_now().await;
                None
            };
            let receive = async { Some(server.read(&mut buf[..len]).await.unwrap()) };
            match future::or(receive, cancel).await {
                Some(n) => {
                    read += 1;
                    got.extend_from_slice(&buf[..n]);
                }
                None => cancelled += 1,
            }
        }
        drop(ticket);
        while let n @ 1.. = server.read(&mut buf).await.unwrap() {
            got.extend_from_slice(&buf[..n]);
        }
        writer.join().unwrap();
        assert_eq!(hash(&got), expected);
        assert!(
            read > ROUNDS / 100 && cancelled > ROUNDS / 100,
            "{read} reads completed, {cancelled} were cancelled"
        );
    });
}

#[test]
fn a_cancelled_accept_loses_no_connection() {
    run(async {
        const CLIENTS: usize = 200;
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        let clients = thread::spawn(move || {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| StdStream::connect(address).unwrap())
                .collect();
            let addresses: HashSet<_> = clients
                .iter()
                .map(|client| client.local_addr().unwrap())
                .collect();
            (clients, addresses)
        });
        let mut accepted = HashSet::new();
        while accepted.len() < CLIENTS {
            let accept = async { Some(listener.accept().await.unwrap().1) };
            let cancel = async {
                wakeful::task::yield_now().await;
                None
            };
            accepted.extend(future::or(accept, cancel).await);
        }
        let (_clients, addresses) = clients.join().unwrap();
        assert_eq!(accepted, addresses);
    });
}

#[test]
fn a_cancelled_write_has_sent_nothing() {
    run(async {
        let (server, mut peer) = tcp_and_std().await;
        let chunk = pattern(10_000, 41);
        let mut sent = Vec::new();
        // Each round writes until the buffers are full, drops the waiting write, and lets the peer
        // drain them.
        for _ in 0..3 {
            while let Some(n) = future::poll_once(server.write(&chunk)).await {
                sent.extend_from_slice(&chunk[..n.unwrap()]);
            }
            let mut got = vec![0; sent.len()];
            peer.read_exact(&mut got).unwrap();
            assert!(got == sent);
            sent.clear();
            server.writable().await.unwrap();
        }
        drop(server);
        assert_eq!(
            peer.read(&mut [0; 1]).unwrap(),
            0,
            "a cancelled write sent bytes"
        );
    });
}

#[test]
fn a_cancelled_connect_closes_its_socket() {
    run(async {
        // Two connections fill a backlog of one; the third receives no answer.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let listener = socket.listen(1).unwrap();
        let _full = [
            TcpStream::connect(address).await.unwrap(),
            TcpStream::connect(address).await.unwrap(),
        ];
        let before = wakeful::metrics().sources;
        {
            let mut waiting = std::pin::pin!(TcpStream::connect(address));
            settle().await;
            assert!(future::poll_once(&mut waiting).await.is_none());
            assert_eq!(wakeful::metrics().sources, before + 1);
        }
        assert_eq!(wakeful::metrics().sources, before);
        for _ in 0..2 {
            listener.accept().await.unwrap();
        }
        // The listener still works.
        let (client, accepted) = future::zip(TcpStream::connect(address), listener.accept()).await;
        assert_eq!(client.unwrap().local_addr().unwrap(), accepted.unwrap().1);
    });
}

#[test]
fn a_cancelled_read_leaves_no_waiter_behind() {
    run(async {
        let (stream, peer) = UnixStream::pair().unwrap();
        let waiting = || wakeful::metrics().waiting;
        let before = waiting();
        for _ in 0..1_000 {
            assert!(future::poll_once(stream.read(&mut [0; 8])).await.is_none());
        }
        assert_eq!(waiting(), before);
        peer.write_all(b"x").await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 1);
    });
}
