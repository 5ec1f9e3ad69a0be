//! Point 42. A connect that is refused, unreachable, timed out or dropped; the error kinds are those
//! of std. The part about Unix sockets only (success at once, a full backlog) is in `unix.rs`.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::pin;
use std::time::Duration;

use futures_lite::future;
use wakeful_net::{SocketError, TcpListener, TcpSocket, TcpStream};
use wakeful_tests::net_support::{listen, run, settle};

/// Returns an address with no listener.
async fn closed() -> SocketAddr {
    listen().await.local_addr().unwrap()
}

#[test]
fn a_refused_connection_gives_the_same_error_as_std() {
    run(async {
        let address = closed().await;
        let std = std::net::TcpStream::connect(address).unwrap_err();
        let errors = [
            TcpStream::connect(address).await.unwrap_err(),
            TcpSocket::new_v4()
                .unwrap()
                .connect(address)
                .await
                .unwrap_err(),
            TcpStream::connect_timeout(address, Duration::from_secs(60))
                .await
                .unwrap_err(),
        ];
        for err in errors {
            assert_eq!(err.kind(), std.kind());
            assert_eq!(err.kind(), ErrorKind::ConnectionRefused);
            assert_eq!(
                SocketError::downcast_ref(&err)
                    .unwrap()
                    .io_error()
                    .raw_os_error(),
                std.raw_os_error()
            );
            let text = err.to_string();
            assert!(
                text.starts_with(&format!("connect {address}: Connection refused")),
                "{text}"
            );
        }
    });
}

#[test]
fn an_unreachable_address_gives_the_same_error_as_std() {
    run(async {
        // TCP cannot reach a broadcast address; the kernel refuses without sending a packet.
        let address: SocketAddr = "255.255.255.255:9".parse().unwrap();
        let std = std::net::TcpStream::connect(address).unwrap_err();
        let err = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(err.kind(), std.kind());
        assert_eq!(err.kind(), ErrorKind::NetworkUnreachable);
    });
}

#[test]
fn connect_returns_the_most_useful_of_several_errors() {
    run(async {
        let refused = closed().await;
        let unreachable: SocketAddr = "255.255.255.255:9".parse().unwrap();
        for addresses in [[refused, unreachable], [unreachable, refused]] {
            let err = TcpStream::connect(&addresses[..]).await.unwrap_err();
            assert_eq!(err.kind(), ErrorKind::ConnectionRefused);
            assert!(err.to_string().contains(&refused.to_string()), "{err}");
        }
    });
}

/// Returns a listener whose backlog is full, and the streams that fill it. A further connect
/// receives no answer.
async fn silent() -> (TcpListener, [TcpStream; 2]) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let full = [
        TcpStream::connect(address).await.unwrap(),
        TcpStream::connect(address).await.unwrap(),
    ];
    (listener, full)
}

#[test]
fn connect_timeout_without_an_answer_leaves_no_source_and_no_timer() {
    run(async {
        let (listener, _full) = silent().await;
        let address = listener.local_addr().unwrap();
        let before = wakeful::metrics();
        let limit = Duration::from_millis(30);
        let err = TcpStream::connect_timeout(address, limit)
            .await
            .unwrap_err();
        assert_eq!(err.kind(), ErrorKind::TimedOut);
        let text = err.to_string();
        assert!(text.starts_with(&format!("connect {address}: ")), "{text}");
        assert!(text.contains("30ms"), "{text}");
        let after = wakeful::metrics();
        assert_eq!(after.sources, before.sources);
        assert_eq!(after.timers_armed, before.timers_armed);
    });
}

#[test]
fn a_late_answer_completes_the_connect() {
    run(async {
        let (listener, _full) = silent().await;
        let address = listener.local_addr().unwrap();
        let late = wakeful::spawn(TcpStream::connect(address));
        wakeful::time::sleep(Duration::from_millis(20)).await;
        assert!(!late.is_finished());
        // Makes room for the SYN that the kernel retransmits a second later.
        for _ in 0..2 {
            listener.accept().await.unwrap();
        }
        let late = late.await.unwrap().unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, late.local_addr().unwrap());
        late.write_all(b"x").await.unwrap();
        assert_eq!(server.read(&mut [0; 4]).await.unwrap(), 1);
    });
}

#[test]
fn a_connect_whose_error_was_taken_by_a_duplicate_ends_with_an_error() {
    run(async {
        let socket = TcpSocket::new_v4().unwrap();
        let duplicate = socket.as_fd().try_clone_to_owned().unwrap();
        let mut connect = pin!(socket.connect(closed().await));
        assert!(future::poll_once(connect.as_mut()).await.is_none());
        let taken = rustix::net::sockopt::socket_error(&duplicate).unwrap();
        assert_eq!(taken, Err(rustix::io::Errno::CONNREFUSED));
        settle().await;
        let outcome = future::poll_once(connect).await;
        let err = outcome.expect("no further event would come").unwrap_err();
        assert_eq!(err.kind(), ErrorKind::NotConnected);
    });
}

// The calls that follow are those of a connect(2) that is repeated after a signal.

#[test]
fn a_socket_that_is_connected_already_connects_at_once() {
    run(async {
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        let repeated = [(); 3].map(|()| rustix::net::connect(&socket, &address));
        assert_eq!(repeated[2], Err(rustix::io::Errno::ISCONN));
        let stream = socket.connect(address).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
    });
}

#[test]
fn a_socket_that_is_connecting_already_waits_for_the_outcome() {
    run(async {
        let (listener, _full) = silent().await;
        let address = listener.local_addr().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        let repeated = [(); 2].map(|()| rustix::net::connect(&socket, &address));
        assert_eq!(repeated[1], Err(rustix::io::Errno::ALREADY));
        let connect = wakeful::spawn(socket.connect(address));
        settle().await;
        assert!(!connect.is_finished());
        connect.abort();
    });
}

#[test]
fn a_connected_stream_can_be_written_to_at_once() {
    run(async {
        let listener = listen().await;
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        assert!(
            future::poll_once(client.write(b"x"))
                .await
                .expect("ready at once")
                .is_ok()
        );
        let (server, _) = listener.accept().await.unwrap();
        assert!(
            future::poll_once(server.write(b"x"))
                .await
                .expect("ready at once")
                .is_ok()
        );
    });
}
