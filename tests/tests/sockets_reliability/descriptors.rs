//! Properties of every descriptor: non-blocking, close-on-exec, registered once, closed on drop
//! (E17, K6 of the seeds; the part of point 29 of the reliability list about sockets).

use std::os::fd::AsFd;

use wakeful_net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixSocket, UnixStream};
use wakeful_tests::net_support::{
    CLOEXEC, NONBLOCK, abstract_name, flags, listen, run, settle, tcp_pair,
};
use wakeful_tests::trace::alone;

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn every_descriptor_is_non_blocking_and_close_on_exec() {
    run(async {
        let check = |what: &str, fd: &dyn AsFd| {
            assert_eq!(
                flags(fd) & (NONBLOCK | CLOEXEC),
                NONBLOCK | CLOEXEC,
                "{what}"
            );
        };
        let listener = listen().await;
        check("TcpListener::bind", &listener);
        check("TcpListener::try_clone", &listener.try_clone().unwrap());
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        check("TcpStream::connect", &client);
        check("TcpStream::try_clone", &client.try_clone().unwrap());
        check("TcpListener::accept", &listener.accept().await.unwrap().0);
        check("TcpSocket::new_v4", &TcpSocket::new_v4().unwrap());

        let name = abstract_name();
        let listener = UnixListener::bind(&name).unwrap();
        check("UnixListener::bind", &listener);
        let client = UnixStream::connect(&name).await.unwrap();
        check("UnixStream::connect", &client);
        check("UnixStream::try_clone", &client.try_clone().unwrap());
        check("UnixListener::accept", &listener.accept().await.unwrap().0);
        let (near, far) = UnixStream::pair().unwrap();
        check("UnixStream::pair", &near);
        check("UnixStream::pair", &far);
        check("UnixSocket::new_stream", &UnixSocket::new_stream().unwrap());
    });
}

#[test]
fn sockets_from_std_are_made_non_blocking() {
    run(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (unix, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(flags(&stream) & NONBLOCK, 0);
        let all: [&dyn AsFd; 3] = [
            &TcpListener::from_std(listener).unwrap(),
            &TcpStream::from_std(stream).unwrap(),
            &UnixStream::from_std(unix).unwrap(),
        ];
        assert!(all.iter().all(|fd| flags(fd) & NONBLOCK != 0));
    });
}

#[test]
fn a_surviving_duplicate_causes_no_wake_and_can_be_registered_again() {
    run(async {
        let (stream, peer) = UnixStream::pair().unwrap();
        // `as_fd` ends the assumption that the descriptor has no duplicate.
        let duplicate = stream.as_fd().try_clone_to_owned().unwrap();
        let number = stream.as_fd().try_clone_to_owned().unwrap();
        drop(stream);
        let before = wakeful::metrics();
        peer.write_all(b"abc").await.unwrap();
        settle().await;
        let after = wakeful::metrics();
        assert_eq!(
            after.events_stale, before.events_stale,
            "the dropped stream was deregistered"
        );
        drop(number);
        let stream = UnixStream::from_std(duplicate.into()).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 3);
    });
}

#[test]
fn a_duplicate_of_a_socket_that_connects_causes_no_wake() {
    run(async {
        let listener = listen().await;
        let socket = TcpSocket::new_v4().unwrap();
        let duplicate = socket.as_fd().try_clone_to_owned().unwrap();
        let address = listener.local_addr().unwrap();
        let stream = socket.connect(address).await.unwrap();
        let (peer, _address) = listener.accept().await.unwrap();
        drop(stream);
        let before = wakeful::metrics().events_stale;
        peer.write_all(b"abc").await.unwrap();
        settle().await;
        assert_eq!(wakeful::metrics().events_stale, before);
        drop(duplicate);
    });
}

#[test]
fn dropping_one_of_two_clones_removes_its_registration() {
    run(async {
        let (stream, peer) = UnixStream::pair().unwrap();
        let clone = stream.try_clone().unwrap();
        // Closing the descriptor alone would not deregister it: the clone keeps the open file alive.
        drop(stream);
        let second = clone.try_clone().unwrap();
        drop(second);
        let before = wakeful::metrics().events_stale;
        peer.write_all(b"abc").await.unwrap();
        settle().await;
        assert_eq!(wakeful::metrics().events_stale, before);
        assert_eq!(clone.read(&mut [0; 8]).await.unwrap(), 3);
    });
}

#[test]
fn a_reused_descriptor_number_inherits_no_readiness() {
    run(async {
        for _ in 0..100 {
            let (old, peer) = UnixStream::pair().unwrap();
            peer.write_all(b"abc").await.unwrap();
            old.readable().await.unwrap();
            // An event of `old` can still be queued when its number is reused by the new stream.
            peer.write_all(b"def").await.unwrap();
            drop(old);
            let (new, _new_peer) = UnixStream::pair().unwrap();
            settle().await;
            let err = new.try_read(&mut [0; 8]).unwrap_err();
            assert_eq!(err.kind(), std::io::ErrorKind::WouldBlock);
            let called = new.try_io(
                wakeful::io::Interest::READABLE,
                || -> std::io::Result<()> { panic!("stale readiness") },
            );
            assert!(called.is_err());
        }
    });
}

#[test]
fn closed_connections_leave_no_descriptor_and_no_registration() {
    alone(|| {
        run(async {
            let listener = listen().await;
            let address = listener.local_addr().unwrap();
            let (fds, sources) = (open_descriptors(), wakeful::metrics().sources);
            for round in 0..200 {
                let client = TcpStream::connect(address).await.unwrap();
                let (server, _) = listener.accept().await.unwrap();
                match round % 4 {
                    // A FIN from either side, a reset, and bytes that are never read.
                    0 => drop(client),
                    1 => drop(server),
                    2 => client.set_zero_linger().unwrap(),
                    _ => server.write_all(b"unread").await.unwrap(),
                }
            }
            settle().await;
            assert_eq!(
                (open_descriptors(), wakeful::metrics().sources),
                (fds, sources)
            );
        });
    });
}

#[test]
fn a_child_process_inherits_no_socket() {
    alone(|| {
        let inherited = || {
            let output = std::process::Command::new("ls")
                .arg("/proc/self/fd")
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let before = inherited();
        run(async {
            let _pair = tcp_pair().await;
            let _unix = UnixStream::pair().unwrap();
            assert_eq!(inherited(), before);
        });
    });
}
