//! Point 42. connect: refused, unreachable, timed out, dropped; the kind of error as std gives it.
//! What concerns Unix sockets only (success at once, a full backlog) is in `unix.rs`.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use futures_lite::future;
use wakeful_net::{SocketError, TcpListener, TcpSocket, TcpStream};
use wakeful_tests::net_support::{listen, run};

/// An address on which nobody listens, and the error of connecting there.
async fn closed() -> SocketAddr {
    listen().await.local_addr().unwrap()
}

#[test]
fn a_refused_connection_is_the_error_that_std_gives() {
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
            assert_eq!(
                err.to_string(),
                format!("connect {address}: Connection refused (os error 111)")
            );
        }
    });
}

#[test]
fn an_unreachable_address_is_the_error_that_std_gives() {
    run(async {
        // TCP cannot reach a broadcast address; the kernel says so without sending anything.
        let address: SocketAddr = "255.255.255.255:9".parse().unwrap();
        let std = std::net::TcpStream::connect(address).unwrap_err();
        let err = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(err.kind(), std.kind());
        assert_eq!(err.kind(), ErrorKind::NetworkUnreachable);
    });
}

#[test]
fn of_several_errors_the_useful_one_is_told() {
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

/// A listener whose backlog is full, and what fills it: who connects next gets no answer.
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
fn without_an_answer_connect_times_out_and_leaves_nothing_behind() {
    run(async {
        let (listener, _full) = silent().await;
        let address = listener.local_addr().unwrap();
        let before = wakeful::metrics();
        let limit = Duration::from_millis(30);
        let err = TcpStream::connect_timeout(address, limit)
            .await
            .unwrap_err();
        assert_eq!(err.kind(), ErrorKind::TimedOut);
        assert_eq!(
            err.to_string(),
            format!("connect {address}: no answer within 30ms")
        );
        let after = wakeful::metrics();
        assert_eq!(after.sources, before.sources);
        assert_eq!(after.timers_armed, before.timers_armed);
    });
}

#[test]
fn a_connection_that_is_answered_late_is_made() {
    run(async {
        let (listener, _full) = silent().await;
        let address = listener.local_addr().unwrap();
        let late = wakeful::spawn(TcpStream::connect(address));
        wakeful::time::sleep(Duration::from_millis(20)).await;
        assert!(!late.is_finished());
        // Room for the SYN that the kernel sends again a second later.
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
fn a_connected_stream_can_be_written_to_at_once() {
    run(async {
        let listener = listen().await;
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        assert!(
            future::poll_once(client.write(b"x"))
                .await
                .expect("no waiting")
                .is_ok()
        );
        let (server, _) = listener.accept().await.unwrap();
        assert!(
            future::poll_once(server.write(b"x"))
                .await
                .expect("no waiting")
                .is_ok()
        );
    });
}
