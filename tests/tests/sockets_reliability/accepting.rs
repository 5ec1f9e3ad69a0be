//! Accepting when descriptors run out (the library's part of point 50), and what happens to the
//! listener's readiness.

use std::io::ErrorKind;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use futures_lite::future;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wakeful_net::{AcceptErrorKind, TcpStream, classify_accept_error};
use wakeful_tests::net_support::{listen, run, settle};
use wakeful_tests::trace::alone;

/// Lowers the limit so that `spare` more descriptors can be opened, or fewer if some of these
/// numbers are in use.
fn leave_descriptors(spare: u64) {
    // The raised limit allows one open call, which returns the lowest free number.
    set_limit(getrlimit(Resource::Nofile).maximum.unwrap_or(1024));
    let lowest = std::fs::File::open("/dev/null").unwrap().as_raw_fd();
    set_limit(u64::try_from(lowest).unwrap() + spare);
}

fn set_limit(current: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(current),
            maximum,
        },
    )
    .unwrap();
}

#[test]
fn after_emfile_the_waiting_connection_is_accepted_without_a_new_one() {
    alone(|| {
        run(async {
            let listener = listen().await;
            let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            leave_descriptors(0);
            for _ in 0..3 {
                let err = listener.accept().await.unwrap_err();
                assert_eq!(err.raw_os_error(), Some(24), "EMFILE: {err}");
                assert_eq!(classify_accept_error(&err), AcceptErrorKind::Backoff);
                wakeful::time::sleep(Duration::from_millis(1)).await;
            }
            leave_descriptors(8);
            settle().await;
            // No edge follows, because the connection was already queued. Without the stored
            // readiness this accept would wait forever.
            let accepted = future::poll_once(listener.accept()).await;
            let (_stream, peer) = accepted.expect("the readiness was kept").unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        });
    });
}

#[test]
fn connecting_and_binding_without_descriptors_report_emfile() {
    alone(|| {
        run(async {
            let listener = listen().await;
            let address = listener.local_addr().unwrap();
            leave_descriptors(0);
            let err = TcpStream::connect(address).await.unwrap_err();
            let text = err.to_string();
            assert!(
                text.starts_with(&format!("connect {address}: Too many open files")),
                "{text}"
            );
            let err = wakeful_net::TcpListener::bind("127.0.0.1:0")
                .await
                .unwrap_err();
            assert!(
                err.to_string()
                    .starts_with("bind 127.0.0.1:0: Too many open files"),
                "{err}"
            );
            leave_descriptors(8);
            TcpStream::connect(address).await.unwrap();
        });
    });
}

#[test]
fn accepting_many_connections_does_not_starve_other_tasks() {
    run(async {
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        let _clients: Vec<_> = (0..300)
            .map(|_| std::net::TcpStream::connect(address).unwrap())
            .collect();
        settle().await;
        let other = wakeful::spawn(async { wakeful::metrics().polls });
        // All 300 connections are ready at once; the budget makes this task yield in between.
        let mut accepted = 0;
        while !other.is_finished() {
            listener.accept().await.unwrap();
            accepted += 1;
        }
        assert!(accepted < 300, "the other task waited for all connections");
    });
}

#[test]
fn accepting_on_a_socket_that_does_not_listen_is_fatal() {
    run(async {
        // A socket of the standard library on which `listen` was never called.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let listener = std::net::TcpListener::from(std::os::fd::OwnedFd::from(socket.unwrap()));
        let listener = wakeful_net::TcpListener::from_std(listener).unwrap();
        let err = listener.accept().await.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::InvalidInput);
        assert_eq!(classify_accept_error(&err), AcceptErrorKind::Fatal);
    });
}
