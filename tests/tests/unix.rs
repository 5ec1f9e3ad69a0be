//! Unix sockets over the public API: names and files, connecting, credentials, transfers.
//!
//! Point 45 of the reliability list (paths) is in module `point_45` below. The code that TCP and
//! Unix sockets share is tested in `tcp.rs` and not again here.

use std::io::{ErrorKind, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net as std_unix;
use std::time::Duration;

use futures_lite::{StreamExt as _, future};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    sendmsg, socketpair,
};
use wakeful_net::unix::{self, SocketAddr};
use wakeful_net::{UnixListener, UnixSocket, UnixStream};
use wakeful_tests::net_support::{TempDir, abstract_name, listen_unix, run, settle};

#[test]
fn peer_addresses_are_unnamed_or_the_bound_path() {
    run(async {
        let dir = TempDir::new();
        let (listener, name) = listen_unix();
        let client = UnixStream::connect(&name).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert!(peer.is_unnamed());
        assert_eq!(client.peer_addr().unwrap(), listener.local_addr().unwrap());
        assert_eq!(
            client.peer_addr().unwrap().to_string(),
            format!("@{}", &name[1..])
        );
        assert!(server.peer_addr().unwrap().is_unnamed());

        let named = UnixSocket::new_stream().unwrap();
        let path = dir.join("client");
        named.bind(&path).unwrap();
        let _named = named.connect(&name).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer.as_pathname(), Some(path.as_path()));
        assert_eq!(server.peer_addr().unwrap(), peer);
    });
}

#[test]
fn a_pair_transfers_both_ways_and_then_returns_eof() {
    run(async {
        let (a, b) = UnixStream::pair().unwrap();
        a.write_all(b"ping").await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(b.read(&mut buf).await.unwrap(), 4);
        b.write_all(b"pong!").await.unwrap();
        assert_eq!(a.peek(&mut buf).await.unwrap(), 5);
        assert_eq!(a.read(&mut buf).await.unwrap(), 5);
        drop(b);
        assert_eq!(a.read(&mut buf).await.unwrap(), 0);
        assert_eq!(
            a.write(b"x").await.unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
    });
}

#[test]
fn peer_cred_returns_the_peers_credentials() {
    run(async {
        let (listener, name) = listen_unix();
        let client = UnixStream::connect(&name).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let me = rustix::process::getpid().as_raw_nonzero().get();
        for stream in [&client, &server] {
            let cred = stream.peer_cred().unwrap();
            assert_eq!(cred.pid(), Some(me));
            assert_eq!(cred.uid(), rustix::process::getuid().as_raw());
            assert_eq!(cred.gid(), rustix::process::getgid().as_raw());
        }
    });
}

#[test]
fn halves_split_and_reunite() {
    run(async {
        let (mut a, b) = UnixStream::pair().unwrap();
        {
            let (reader, writer) = a.split();
            writer.write_all(b"x").await.unwrap();
            b.write_all(b"y").await.unwrap();
            assert_eq!(reader.read(&mut [0; 4]).await.unwrap(), 1);
        }
        let (reader, writer) = a.into_split();
        let (other, _peer) = UnixStream::pair().unwrap();
        let (_, unrelated) = other.into_split();
        let unix::ReuniteError(reader, _unrelated) = reader.reunite(unrelated).unwrap_err();
        let a = reader.reunite(writer).unwrap();
        let mut buf = [0; 4];
        assert_eq!(b.read(&mut buf).await.unwrap(), 1);
        let (_reader, writer) = a.into_split();
        drop(writer);
        assert_eq!(b.read(&mut buf).await.unwrap(), 0);
    });
}

#[test]
fn streams_and_listeners_convert_to_std_and_back() {
    run(async {
        let dir = TempDir::new();
        let path = dir.join("socket");
        let listener =
            UnixListener::try_from(std_unix::UnixListener::bind(&path).unwrap()).unwrap();
        let client = std_unix::UnixStream::connect(&path).unwrap();
        let client = UnixStream::from_std(client).unwrap();
        let (server, _) = listener.accept().await.unwrap();
        client.write_all(b"abc").await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 3);
        let server = UnixStream::from_std(server.into_std().unwrap()).unwrap();
        let clone = client.try_clone().unwrap();
        drop(client);
        clone.write_all(b"d").await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 1);
        drop(OwnedFd::from(clone));
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
        drop(listener.into_std().unwrap());
    });
}

#[test]
fn a_socket_of_packets_is_no_stream() {
    run(async {
        for kind in [SocketType::SEQPACKET, SocketType::DGRAM] {
            let (a, _b) =
                socketpair(AddressFamily::UNIX, kind, SocketFlags::empty(), None).unwrap();
            let error = UnixStream::from_std(a.into()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    });
}

#[test]
fn incoming_and_poll_accept_accept_connections() {
    run(async {
        let (listener, name) = listen_unix();
        let _first = UnixStream::connect(&name).await.unwrap();
        let _second = UnixStream::connect(&name).await.unwrap();
        assert!(listener.incoming().next().await.expect("endless").is_ok());
        assert!(future::poll_fn(|cx| listener.poll_accept(cx)).await.is_ok());
        assert!(future::poll_once(listener.accept()).await.is_none());
    });
}

/// A receive stops after a message that carries descriptors, even if more bytes follow. Such a
/// short read does not mean that the kernel's buffer is empty.
#[test]
fn bytes_behind_a_message_with_descriptors_are_read() {
    run(async {
        let (reader, sender) = UnixStream::pair().unwrap();
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        let descriptors = [sender.as_fd()];
        assert!(rights.push(SendAncillaryMessage::ScmRights(&descriptors)));
        let first = [IoSlice::new(b"first")];
        sendmsg(sender.as_fd(), &first, &mut rights, SendFlags::empty()).unwrap();
        sender.write_all(b"second").await.unwrap();
        settle().await;
        let mut buf = [0; 64];
        assert_eq!(reader.read(&mut buf).await.unwrap(), 5);
        assert_eq!(reader.read(&mut buf).await.unwrap(), 6);
        assert_eq!(&buf[..6], b"second");
    });
}

#[test]
fn bytes_behind_urgent_data_are_read() {
    run(async {
        let (reader, sender) = UnixStream::pair().unwrap();
        sender.write_all(b"first").await.unwrap();
        if socket2::SockRef::from(&sender)
            .send_out_of_band(b"!")
            .is_err()
        {
            return; // This kernel has no urgent data for Unix sockets.
        }
        sender.write_all(b"second").await.unwrap();
        settle().await;
        let (mut got, mut buf) = (Vec::new(), [0; 64]);
        while got.len() < 11 {
            let n = reader.read(&mut buf).await.unwrap();
            got.extend_from_slice(&buf[..n]);
        }
        assert_eq!(got, b"firstsecond");
    });
}

/// Point 45 of the reliability list: paths.
mod point_45 {
    use super::*;

    #[test]
    fn a_path_of_107_bytes_works_and_one_of_108_is_an_error() {
        run(async {
            let dir = TempDir::new();
            let room = 107 - dir.path().as_os_str().len() - 1;
            let path = dir.join(&"x".repeat(room));
            assert_eq!(path.as_os_str().len(), 107);
            let listener = UnixListener::bind(&path).unwrap();
            assert_eq!(
                listener.local_addr().unwrap().as_pathname(),
                Some(path.as_path())
            );
            UnixStream::connect(&path).await.unwrap();

            let path = dir.join(&"x".repeat(room + 1));
            let errors = [
                UnixListener::bind(&path).unwrap_err(),
                UnixStream::connect(&path).await.unwrap_err(),
            ];
            for (err, operation) in errors.into_iter().zip(["bind", "connect"]) {
                assert_eq!(err.kind(), ErrorKind::InvalidInput);
                let text = err.to_string();
                assert!(
                    text.starts_with(&format!("{operation} {}: ", path.display())),
                    "{text}"
                );
                assert!(text.contains("108") && text.contains("107"), "{text}");
            }
        });
    }

    #[test]
    fn a_nul_byte_inside_a_path_is_an_error() {
        run(async {
            for err in [
                UnixListener::bind("/tmp/a\0b").unwrap_err(),
                UnixStream::connect("/tmp/a\0b").await.unwrap_err(),
                UnixListener::bind("").unwrap_err(),
            ] {
                assert_eq!(err.kind(), ErrorKind::InvalidInput, "{err}");
            }
        });
    }

    #[test]
    fn an_abstract_name_has_no_file_and_is_free_again_at_once() {
        run(async {
            let name = abstract_name();
            let address = SocketAddr::from_abstract_name(&name.as_bytes()[1..]).unwrap();
            for _ in 0..2 {
                let listener = UnixListener::bind_addr(&address).unwrap();
                assert_eq!(listener.local_addr().unwrap(), address);
                let taken = UnixListener::bind(&name).unwrap_err();
                assert_eq!(taken.kind(), ErrorKind::AddrInUse);
                let (client, accepted) =
                    future::zip(UnixStream::connect_addr(&address), listener.accept()).await;
                assert_eq!(client.unwrap().peer_addr().unwrap(), address);
                accepted.unwrap();
            }
            let err = UnixStream::connect(&name).await.unwrap_err();
            assert_eq!(err.kind(), ErrorKind::ConnectionRefused);
        });
    }

    #[test]
    fn a_stale_socket_file_refuses_connections_and_is_never_removed() {
        run(async {
            let dir = TempDir::new();
            let path = dir.join("socket");
            let live = UnixListener::bind(&path).unwrap();
            assert_eq!(
                UnixListener::bind(&path).unwrap_err().kind(),
                ErrorKind::AddrInUse
            );
            UnixStream::connect(&path).await.unwrap();
            drop(live);
            assert!(path.exists(), "the socket file is not removed");
            assert_eq!(
                UnixListener::bind(&path).unwrap_err().kind(),
                ErrorKind::AddrInUse
            );
            let err = UnixStream::connect(&path).await.unwrap_err();
            assert_eq!(err.kind(), ErrorKind::ConnectionRefused);
            assert!(path.exists());
        });
    }

    #[test]
    fn a_path_that_is_no_socket_is_an_error_and_is_left_alone() {
        run(async {
            let dir = TempDir::new();
            let (file, link) = (dir.join("file"), dir.join("link"));
            std::fs::write(&file, "content").unwrap();
            std::os::unix::fs::symlink(&file, &link).unwrap();
            for path in [&file, &link, &dir.path().to_owned()] {
                assert_eq!(
                    UnixListener::bind(path).unwrap_err().kind(),
                    ErrorKind::AddrInUse
                );
                let err = UnixStream::connect(path).await.unwrap_err();
                assert_eq!(err.kind(), ErrorKind::ConnectionRefused, "{err}");
            }
            assert_eq!(std::fs::read_to_string(&link).unwrap(), "content");
            assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
            let missing = dir.join("missing");
            let err = UnixStream::connect(&missing).await.unwrap_err();
            assert_eq!(err.kind(), ErrorKind::NotFound);
            let text = err.to_string();
            let expected = format!("connect {}: No such file or directory", missing.display());
            assert!(text.starts_with(&expected), "{text}");
        });
    }

    #[test]
    fn binding_outside_a_runtime_creates_no_file() {
        let dir = TempDir::new();
        let path = dir.join("socket");
        let payload = std::panic::catch_unwind(|| UnixListener::bind(&path)).unwrap_err();
        assert!(
            payload
                .downcast_ref::<String>()
                .expect("a message")
                .contains("UnixListener::bind")
        );
        assert!(!path.exists());
    }
}

/// The part of point 42 of the reliability list that is about Unix sockets only.
mod point_42 {
    use super::*;

    #[test]
    fn connecting_succeeds_at_once() {
        run(async {
            let (_listener, name) = listen_unix();
            let polled = future::poll_once(UnixStream::connect(&name)).await;
            let stream = polled.expect("ready at once").unwrap();
            assert_eq!(
                future::poll_once(stream.write(b"x"))
                    .await
                    .expect("ready at once")
                    .unwrap(),
                1
            );
        });
    }

    #[test]
    fn a_full_backlog_makes_connect_wait_without_spinning() {
        run(async {
            let name = abstract_name();
            let socket = UnixSocket::new_stream().unwrap();
            socket.bind(&name).unwrap();
            // The kernel queues one connection more than the backlog.
            let listener = socket.listen(0).unwrap();
            let _first = UnixStream::connect(&name).await.unwrap();

            let (before, started) = (wakeful::metrics(), wakeful::time::Instant::now());
            let second = wakeful::spawn({
                let name = name.clone();
                async move { UnixStream::connect(&name).await }
            });
            wakeful::time::sleep(Duration::from_millis(200)).await;
            assert!(!second.is_finished());
            // Six pauses grow from 1 ms to 32 ms; each later one lasts 64 ms. One more timer is the
            // `sleep` above.
            let fired = wakeful::metrics().timers_fired - before.timers_fired;
            let at_most = 6 + started.elapsed().as_millis() / 64 + 1;
            assert!(
                u128::from(fired) <= at_most + 1,
                "{fired} attempts, expected at most {at_most}"
            );

            listener.accept().await.unwrap();
            let second = second.await.unwrap().unwrap();
            let (server, _) = listener.accept().await.unwrap();
            second.write_all(b"x").await.unwrap();
            assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 1);
        });
    }

    #[test]
    fn a_connect_cancelled_on_a_full_backlog_closes_its_socket() {
        run(async {
            let name = abstract_name();
            let socket = UnixSocket::new_stream().unwrap();
            socket.bind(&name).unwrap();
            let listener = socket.listen(0).unwrap();
            let _first = UnixStream::connect(&name).await.unwrap();
            let waiting = UnixStream::connect(&name);
            let limit = Duration::from_millis(5);
            assert!(wakeful::time::timeout(limit, waiting).await.is_err());
            listener.accept().await.unwrap();
            settle().await;
            assert!(
                future::poll_once(listener.accept()).await.is_none(),
                "the cancelled connect left a connection"
            );
            assert!(listener.as_raw_fd() > 2);
        });
    }
}
