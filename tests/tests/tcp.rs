//! TCP over the public API: connecting, listening, transfers, options, ownership of descriptors.
//!
//! The points of the reliability list are in the folder `sockets_reliability`.

use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{StreamExt as _, future};
use wakeful::io::{Interest, Ready};
use wakeful_net::{SocketError, TcpListener, TcpSocket, TcpStream, lookup_host, tcp};
use wakeful_tests::net_support::{listen, pattern, run, settle, tcp_and_std, tcp_pair};
use wakeful_tests::trace::{panic_of, runtime};

// --- binding and connecting ----------------------------------------------------------------------

#[test]
fn binding_to_port_zero_reports_the_assigned_port() {
    run(async {
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        assert_ne!(address.port(), 0);
        let (client, accepted) = future::zip(TcpStream::connect(address), listener.accept()).await;
        let (client, (server, peer)) = (client.unwrap(), accepted.unwrap());
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(server.peer_addr().unwrap(), peer);
        assert_eq!(server.local_addr().unwrap(), address);
        assert_eq!(client.peer_addr().unwrap(), address);
    });
}

#[test]
fn an_ipv6_listener_reports_ipv6_peers() {
    run(async {
        // Without IPv6 on this machine there is nothing to test.
        let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await else {
            return;
        };
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (_server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(peer.ip(), Ipv6Addr::LOCALHOST);
    });
}

#[test]
fn a_host_name_is_resolved_on_the_blocking_pool() {
    run(async {
        let listener = listen().await;
        let port = listener.local_addr().unwrap().port();
        let threads = || wakeful::metrics().num_blocking_threads;
        TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        assert_eq!(threads(), 0, "a literal address needs no thread");
        TcpStream::connect(format!("localhost:{port}"))
            .await
            .unwrap();
        assert_eq!(threads(), 1);
        let found: Vec<_> = lookup_host(("localhost", 7)).await.unwrap().collect();
        assert!(
            found
                .iter()
                .all(|address| address.ip().is_loopback() && address.port() == 7)
        );
        assert!(!found.is_empty());
    });
}

#[test]
fn the_error_for_an_unknown_host_contains_its_name() {
    run(async {
        for err in [
            TcpStream::connect("no-such-host.invalid:80")
                .await
                .unwrap_err(),
            TcpListener::bind("no-such-host.invalid:80")
                .await
                .unwrap_err(),
        ] {
            let text = err.to_string();
            assert!(text.contains("no-such-host.invalid:80: "), "{text}");
        }
        let err = TcpListener::bind("127.0.0.1:65536").await.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::InvalidInput);
        assert!(err.to_string().contains("0 to 65535"), "{err}");
    });
}

#[test]
fn connect_tries_one_address_after_another() {
    run(async {
        let closed = listen().await.local_addr().unwrap();
        let open = listen().await;
        let addresses = [closed, open.local_addr().unwrap()];
        let stream = TcpStream::connect(&addresses[..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
        let none: [SocketAddr; 0] = [];
        assert_eq!(
            TcpStream::connect(&none[..]).await.unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        assert_eq!(
            TcpListener::bind(&none[..]).await.unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    });
}

#[test]
fn bind_tries_one_address_after_another() {
    run(async {
        let taken = listen().await;
        let addresses = [taken.local_addr().unwrap(), (Ipv4Addr::LOCALHOST, 0).into()];
        let listener = TcpListener::bind(&addresses[..]).await.unwrap();
        assert_ne!(listener.local_addr().unwrap(), addresses[0]);
    });
}

#[test]
fn the_error_for_an_address_in_use_contains_the_address() {
    run(async {
        let taken = listen().await;
        let address = taken.local_addr().unwrap();
        let err = TcpListener::bind(address).await.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::AddrInUse);
        let text = err.to_string();
        assert!(
            text.starts_with(&format!("bind {address}: Address already in use")),
            "{text}"
        );
        assert_eq!(
            SocketError::downcast_ref(&err)
                .unwrap()
                .io_error()
                .raw_os_error(),
            Some(98)
        );
    });
}

#[test]
fn a_port_can_be_bound_again_while_old_connections_are_in_time_wait() {
    run(async {
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        // The side that closes first enters TIME_WAIT.
        drop((server, listener));
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        drop(client);
        TcpListener::bind(address).await.unwrap();
    });
}

#[test]
fn a_burst_of_connects_fits_into_the_backlog() {
    run(async {
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        // Nothing is accepted meanwhile. With std's backlog of 128 the 130th connect would wait for
        // seconds.
        let limit = Duration::from_secs(30);
        let connect = |_| std::net::TcpStream::connect_timeout(&address, limit).unwrap();
        let clients: Vec<_> = (0..400).map(connect).collect();
        for _ in &clients {
            listener.accept().await.unwrap();
        }
    });
}

#[test]
fn options_set_on_a_tcp_socket_survive_listen_and_connect() {
    run(async {
        let first = TcpSocket::new_v4().unwrap();
        first.set_reuseport(true).unwrap();
        first.set_recv_buffer_size(8 * 1024).unwrap();
        first.set_keepalive(true).unwrap();
        first.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let first = first.listen(16).unwrap();

        let second = TcpSocket::new_v4().unwrap();
        assert!(!second.reuseport().unwrap());
        assert!(second.bind(address).is_err(), "the port is taken");
        let second = TcpSocket::new_v4().unwrap();
        second.set_reuseport(true).unwrap();
        second.bind(address).unwrap();
        drop(second);

        let socket = TcpSocket::new_v4().unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_send_buffer_size(32 * 1024).unwrap();
        assert_eq!(socket.send_buffer_size().unwrap(), 64 * 1024);
        socket.bind("127.0.0.3:0".parse().unwrap()).unwrap();
        let client = socket.connect(address).await.unwrap();
        assert!(client.nodelay().unwrap());
        let (server, peer) = first.accept().await.unwrap();
        assert_eq!(peer.ip(), Ipv4Addr::new(127, 0, 0, 3));
        assert!(server.keepalive().unwrap());
        let received = socket2::SockRef::from(&server).recv_buffer_size().unwrap();
        assert_eq!(received, 16 * 1024);
    });
}

#[test]
fn incoming_yields_every_connection() {
    run(async {
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..3)
            .map(|_| std::net::TcpStream::connect(address).unwrap())
            .collect();
        let peers: Vec<_> = listener
            .incoming()
            .take(3)
            .map(|stream| stream.unwrap().peer_addr().unwrap())
            .collect()
            .await;
        let expected: Vec<_> = clients
            .iter()
            .map(|client| client.local_addr().unwrap())
            .collect();
        assert_eq!(peers, expected);
    });
}

#[test]
fn poll_accept_wakes_the_task_that_polled() {
    run(async {
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        let accept = future::poll_fn(|cx| listener.poll_accept(cx));
        let mut accept = pin!(accept);
        assert!(future::poll_once(&mut accept).await.is_none());
        let client = std::net::TcpStream::connect(address).unwrap();
        let (_stream, peer) = accept.await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    });
}

// --- transfers -----------------------------------------------------------------------------------

#[test]
fn a_half_close_keeps_the_other_direction_open() {
    run(async {
        let (server, client) = tcp_pair().await;
        client.write_all(b"question").await.unwrap();
        client.shutdown_now(Shutdown::Write).unwrap();
        let mut buf = [0; 64];
        assert_eq!(server.read(&mut buf).await.unwrap(), 8);
        assert_eq!(server.read(&mut buf).await.unwrap(), 0);
        assert_eq!(
            server.read(&mut buf).await.unwrap(),
            0,
            "EOF is returned again"
        );
        server.write_all(b"answer").await.unwrap();
        assert_eq!(client.read(&mut buf).await.unwrap(), 6);
        assert_eq!(&buf[..6], b"answer");
    });
}

#[test]
fn shutdown_of_the_read_side_wakes_the_waiting_reader() {
    run(async {
        let (server, _client) = tcp_pair().await;
        let server = Rc::new(server);
        let reader = wakeful::spawn({
            let server = Rc::clone(&server);
            async move { server.read(&mut [0; 8]).await.unwrap() }
        });
        settle().await;
        assert!(!reader.is_finished());
        server.shutdown_now(Shutdown::Read).unwrap();
        assert_eq!(reader.await.unwrap(), 0);
    });
}

#[test]
fn try_operations_outside_of_their_runtime_name_the_call() {
    let runtime = runtime();
    let (stream, _peer) = runtime.block_on(tcp_pair());
    let read = panic_of(|| stream.try_read(&mut [0; 8]));
    let line = line!() - 1;
    assert!(read.contains(&format!("{}:{line}:", file!())), "{read}");
    let wrote = panic_of(|| stream.try_write_vectored(&[IoSlice::new(b"x")]));
    let line = line!() - 1;
    assert!(wrote.contains(&format!("{}:{line}:", file!())), "{wrote}");
}

#[test]
fn vectored_io_fills_and_empties_buffers_in_order() {
    run(async {
        let (server, client) = tcp_pair().await;
        let parts = [
            IoSlice::new(b"one"),
            IoSlice::new(b""),
            IoSlice::new(b"three"),
        ];
        assert_eq!(client.write_vectored(&parts).await.unwrap(), 8);
        let (mut a, mut b, mut c) = ([0; 2], [0; 4], [0; 9]);
        let mut bufs = [
            IoSliceMut::new(&mut a),
            IoSliceMut::new(&mut b),
            IoSliceMut::new(&mut c),
        ];
        assert_eq!(server.read_vectored(&mut bufs).await.unwrap(), 8);
        assert_eq!(
            (&a[..], &b[..], &c[..2]),
            (&b"on"[..], &b"ethr"[..], &b"ee"[..])
        );
        assert_eq!(client.try_write_vectored(&parts).unwrap(), 8);
        server.readable().await.unwrap();
        let mut bufs = [IoSliceMut::new(&mut c)];
        assert_eq!(server.try_read_vectored(&mut bufs).unwrap(), 8);
    });
}

#[test]
fn a_vectored_transfer_stops_at_the_kernels_limit_of_slices() {
    run(async {
        let (server, client) = tcp_pair().await;
        let byte = [7];
        let parts: Vec<_> = (0..1030).map(|_| IoSlice::new(&byte)).collect();
        assert_eq!(client.write_vectored(&parts).await.unwrap(), 1024);
        let mut bytes = vec![0; 1030];
        let mut bufs: Vec<_> = bytes
            .iter_mut()
            .map(|b| IoSliceMut::new(std::slice::from_mut(b)))
            .collect();
        assert_eq!(server.read_vectored(&mut bufs).await.unwrap(), 1024);
    });
}

#[test]
fn empty_buffers_in_front_do_not_hide_the_bytes_that_follow() {
    run(async {
        let (server, client) = tcp_pair().await;
        let mut parts = vec![IoSlice::new(&[]); 1024];
        parts.push(IoSlice::new(b"data"));
        assert_eq!(client.write_vectored(&parts).await.unwrap(), 4);
        let mut bytes = [0; 8];
        let mut bufs: Vec<_> = (0..1024).map(|_| IoSliceMut::new(&mut [])).collect();
        bufs.push(IoSliceMut::new(&mut bytes));
        assert_eq!(server.read_vectored(&mut bufs).await.unwrap(), 4);
        assert_eq!(&bytes[..4], b"data");
    });
}

#[test]
fn peek_leaves_the_bytes_for_the_next_read() {
    run(async {
        let (server, client) = tcp_pair().await;
        let mut buf = [0; 8];
        let mut peek = pin!(server.peek(&mut buf));
        assert!(
            future::poll_once(&mut peek).await.is_none(),
            "no bytes have arrived yet"
        );
        client.write_all(b"abc").await.unwrap();
        assert_eq!(peek.await.unwrap(), 3);
        for _ in 0..2 {
            let mut buf = [0; 2];
            assert_eq!(server.peek(&mut buf).await.unwrap(), 2);
            assert_eq!(&buf, b"ab");
        }
        let mut buf = [0; 8];
        assert_eq!(server.read(&mut buf).await.unwrap(), 3);
        drop(client);
        assert_eq!(server.peek(&mut buf).await.unwrap(), 0);
    });
}

#[test]
fn read_exact_collects_pieces_and_its_error_counts_the_bytes_read() {
    run(async {
        let (server, client) = tcp_pair().await;
        let sender = wakeful::spawn(async move {
            for piece in [&b"a"[..], b"bc", b"", b"defgh"] {
                client.write_all(piece).await.unwrap();
                settle().await;
            }
        });
        let mut buf = [0; 6];
        assert_eq!(server.read_exact(&mut buf).await.unwrap(), 6);
        assert_eq!(&buf, b"abcdef");
        sender.await.unwrap();
        let err = server.read_exact(&mut buf).await.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::UnexpectedEof);
        let text = err.to_string();
        assert!(text.contains("2 of 6 bytes"), "{text}");
        assert_eq!(
            &buf[..2],
            b"gh",
            "the bytes that were read are in the buffer"
        );
    });
}

#[test]
fn try_operations_never_wait() {
    run(async {
        let (server, peer) = tcp_and_std().await;
        let mut buf = [0; 16];
        assert_eq!(
            server.try_read(&mut buf).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        (&peer).write_all(b"abc").unwrap();
        server.readable().await.unwrap();
        assert_eq!(server.try_read(&mut buf).unwrap(), 3);
        assert_eq!(
            server.try_read(&mut buf).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );

        let chunk = pattern(64 * 1024, 1);
        let mut sent = 0;
        let err = loop {
            match server.try_write(&chunk) {
                Ok(n) => sent += n,
                Err(err) => break err,
            }
        };
        assert_eq!(err.kind(), ErrorKind::WouldBlock);
        let mut writable = pin!(server.writable());
        assert!(
            future::poll_once(&mut writable).await.is_none(),
            "the buffers are full"
        );
        let mut drained = vec![0; sent];
        (&peer).read_exact(&mut drained).unwrap();
        writable.await.unwrap();
        assert!(server.try_write(&chunk).unwrap() > 0);

        peer.shutdown(Shutdown::Write).unwrap();
        server.readable().await.unwrap();
        assert_eq!(server.try_read(&mut buf).unwrap(), 0);
    });
}

/// A task that fills the kernel's buffer with `try_write` asks for `writable` before each call.
#[test]
fn a_stream_stays_writable_after_a_part_was_sent_until_the_kernel_refuses() {
    run(async {
        let (client, _server) = tcp_pair().await;
        let chunk = vec![7; 16 << 20];
        let sent = client.try_write(&chunk).unwrap();
        assert!(0 < sent && sent < chunk.len(), "{sent} bytes were sent");
        assert!(future::poll_once(client.writable()).await.is_some());
        let refused = loop {
            match client.try_write_vectored(&[IoSlice::new(&chunk)]) {
                Ok(_) => assert!(future::poll_once(client.writable()).await.is_some()),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), ErrorKind::WouldBlock);
        assert!(future::poll_once(client.writable()).await.is_none());
    });
}

#[test]
fn an_accepted_stream_that_is_assumed_ready_is_read_without_an_event() {
    run(async {
        let listener = listen().await;
        let mut there = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        there.write_all(b"x").unwrap();
        let (here, _) = listener.accept().await.unwrap();
        assert!(future::poll_once(here.readable()).await.is_none());
        here.assume_ready(Ready::READABLE);
        assert_eq!(here.try_read(&mut [0; 8]).unwrap(), 1);
    });
}

#[test]
fn try_io_and_async_io_run_a_custom_call() {
    run(async {
        let (server, peer) = tcp_and_std().await;
        let mut calls = 0;
        let early = server.try_io(Interest::READABLE, || -> io::Result<()> {
            calls += 1;
            Ok(())
        });
        assert_eq!(
            (early.unwrap_err().kind(), calls),
            (ErrorKind::WouldBlock, 0)
        );
        (&peer).write_all(b"x").unwrap();
        let byte = server
            .async_io(Interest::READABLE, || {
                let mut byte = [0];
                // Receives through a duplicate of the descriptor.
                let mut socket = &socket2::Socket::from(server.as_fd().try_clone_to_owned()?);
                socket.read(&mut byte).map(|_| byte[0])
            })
            .await;
        assert_eq!(byte.unwrap(), b'x');
    });
}

#[test]
fn ready_returns_the_current_readiness() {
    run(async {
        let (server, client) = tcp_pair().await;
        let both = Interest::READABLE | Interest::WRITABLE;
        let ready = server.ready(both).await.unwrap();
        assert!(ready.is_writable() && !ready.is_readable());
        client.write_all(b"x").await.unwrap();
        assert!(
            server
                .ready(Interest::READABLE)
                .await
                .unwrap()
                .is_readable()
        );
        drop(client);
        settle().await;
        assert!(server.ready(both).await.unwrap().is_read_closed());
    });
}

#[test]
fn an_unconnected_tcp_socket_returns_the_options_that_were_set() {
    let v4 = TcpSocket::new_v4().unwrap();
    assert_eq!(v4.linger().unwrap(), None);
    v4.set_zero_linger().unwrap();
    assert_eq!(v4.linger().unwrap(), Some(Duration::ZERO));
    v4.set_tos_v4(96).unwrap();
    assert_eq!(v4.tos_v4().unwrap(), 96);
    // Not every machine has IPv6.
    if let Ok(v6) = TcpSocket::new_v6() {
        v6.set_tclass_v6(96).unwrap();
        assert_eq!(v6.tclass_v6().unwrap(), 96);
    }
}

// --- halves --------------------------------------------------------------------------------------

#[test]
fn a_stream_is_usable_after_the_last_use_of_its_borrowed_halves() {
    run(async {
        let (mut server, client) = tcp_pair().await;
        let (reader, writer) = server.split();
        client.write_all(b"ping").await.unwrap();
        let mut buf = [0; 4];
        reader.read_exact(&mut buf).await.unwrap();
        writer.write_all(&buf).await.unwrap();
        // The halves are still in scope; this compiles only because they do not implement `Drop`.
        let stream: &mut TcpStream = &mut server;
        stream.write_all(b"pong").await.unwrap();
        client.read_exact(&mut [0; 8]).await.unwrap();
    });
}

#[test]
fn dropping_borrowed_halves_sends_no_eof() {
    run(async {
        let (mut server, client) = tcp_pair().await;
        let mut buf = [0; 4];
        {
            let (reader, writer) = server.split();
            client.write_all(b"ping").await.unwrap();
            reader.read_exact(&mut buf).await.unwrap();
            writer.write_all(&buf).await.unwrap();
            client.read_exact(&mut buf).await.unwrap();
            assert_eq!(reader.peer_addr().unwrap(), client.local_addr().unwrap());
        }
        let mut read = pin!(client.read(&mut buf));
        settle().await;
        assert!(
            future::poll_once(&mut read).await.is_none(),
            "the drop sent EOF"
        );
    });
}

#[test]
fn halves_transfer_without_waiting() {
    run(async {
        let (server, client) = tcp_pair().await;
        let (reader, writer) = server.into_split();
        assert_eq!(writer.try_write(b"abc").unwrap(), 3);
        let parts = [IoSlice::new(b"d"), IoSlice::new(b"efg")];
        assert_eq!(writer.try_write_vectored(&parts).unwrap(), 4);
        let mut sent = [0; 7];
        client.read_exact(&mut sent).await.unwrap();
        assert_eq!(&sent, b"abcdefg");
        client.write_all(b"hijklmn").await.unwrap();
        reader.readable().await.unwrap();
        let mut first = [0; 3];
        assert_eq!(reader.try_read(&mut first).unwrap(), 3);
        let (mut one, mut others) = ([0; 1], [0; 3]);
        let mut parts = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut others)];
        assert_eq!(reader.try_read_vectored(&mut parts).unwrap(), 4);
        assert_eq!((&first, &one, &others), (b"hij", b"k", b"lmn"));
    });
}

#[test]
fn owned_halves_work_in_two_tasks_and_reunite() {
    run(async {
        let (server, client) = tcp_pair().await;
        let (reader, writer) = server.into_split();
        let read = wakeful::spawn(async move {
            let mut buf = [0; 4];
            reader.read_exact(&mut buf).await.unwrap();
            (reader, buf)
        });
        let write = wakeful::spawn(async move {
            writer.write_all(b"pong").await.unwrap();
            writer
        });
        client.write_all(b"ping").await.unwrap();
        let mut buf = [0; 4];
        client.read_exact(&mut buf).await.unwrap();
        let ((reader, got), writer) = (read.await.unwrap(), write.await.unwrap());
        assert_eq!((&got, &buf), (b"ping", b"pong"));

        let server = reader.reunite(writer).unwrap();
        settle().await;
        server.write_all(b"more").await.unwrap();
        client.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"more", "reuniting sent EOF");
    });
}

#[test]
fn halves_of_different_streams_do_not_reunite_and_are_returned() {
    run(async {
        let (a, peer_of_a) = tcp_pair().await;
        let (b, _peer_of_b) = tcp_pair().await;
        let (read_a, write_a) = a.into_split();
        let (read_b, write_b) = b.into_split();
        let tcp::ReuniteError(read_a, write_b) = read_a.reunite(write_b).unwrap_err();
        let a = write_a.reunite(read_a).unwrap();
        drop(write_b.reunite(read_b).unwrap());
        a.write_all(b"x").await.unwrap();
        assert_eq!(peer_of_a.read(&mut [0; 1]).await.unwrap(), 1);
    });
}

#[test]
fn dropping_an_owned_write_half_sends_eof_unless_forgotten() {
    run(async {
        let (server, client) = tcp_pair().await;
        let (reader, writer) = server.into_split();
        writer.write_all(b"bye").await.unwrap();
        drop(writer);
        let mut buf = [0; 8];
        assert_eq!(client.read(&mut buf).await.unwrap(), 3);
        assert_eq!(client.read(&mut buf).await.unwrap(), 0);
        client.write_all(b"still here").await.unwrap();
        assert_eq!(reader.read(&mut buf).await.unwrap(), 8);

        let (server, client) = tcp_pair().await;
        let (_reader, writer) = server.into_split();
        writer.forget();
        settle().await;
        let mut read = pin!(client.read(&mut buf));
        assert!(future::poll_once(&mut read).await.is_none());
    });
}

// --- options and ownership -----------------------------------------------------------------------

#[test]
fn stream_and_listener_options_are_set_and_read() {
    run(async {
        let (server, _client) = tcp_pair().await;
        assert!(!server.nodelay().unwrap());
        server.set_nodelay(true).unwrap();
        assert!(server.nodelay().unwrap());
        server.set_ttl(42).unwrap();
        assert_eq!(server.ttl().unwrap(), 42);
        assert_eq!(server.linger().unwrap(), None);
        server.set_zero_linger().unwrap();
        assert_eq!(server.linger().unwrap(), Some(Duration::ZERO));
        server.set_keepalive(true).unwrap();
        assert!(server.keepalive().unwrap());
        server.set_quickack(true).unwrap();
        assert!(server.quickack().unwrap());
        assert!(server.take_error().unwrap().is_none());
        let listener = listen().await;
        listener.set_ttl(43).unwrap();
        assert_eq!(listener.ttl().unwrap(), 43);
        assert!(listener.take_error().unwrap().is_none());
    });
}

#[test]
fn a_stream_converts_to_std_and_back() {
    run(async {
        let sources = || wakeful::metrics().sources;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let before = sources();
        let listener = TcpListener::try_from(listener).unwrap();
        let mut client = std::net::TcpStream::connect(address).unwrap();
        let (server, _) = listener.accept().await.unwrap();
        assert_eq!(sources(), before + 2);

        let mut server = server.into_std().unwrap();
        assert_eq!(sources(), before + 1, "the stream was deregistered");
        server.set_nonblocking(false).unwrap();
        client.write_all(b"abc").unwrap();
        server.read_exact(&mut [0; 3]).unwrap();

        // A blocking descriptor, registered again with the same number.
        let server = TcpStream::try_from(server).unwrap();
        client.write_all(b"def").unwrap();
        let mut buf = [0; 8];
        assert_eq!(server.read(&mut buf).await.unwrap(), 3);
        let fd = OwnedFd::from(server);
        let server = TcpStream::from_std(std::net::TcpStream::from(fd)).unwrap();
        drop(client);
        assert_eq!(server.read(&mut buf).await.unwrap(), 0);
        assert_eq!(sources(), before + 2);
        drop((server, listener.into_std().unwrap()));
        assert_eq!(sources(), before);
    });
}

#[test]
fn a_clone_shares_the_connection_and_has_its_own_registration() {
    run(async {
        let (server, client) = tcp_pair().await;
        let clone = server.try_clone().unwrap();
        assert_ne!(clone.as_raw_fd(), server.as_raw_fd());
        let got = Rc::new(RefCell::new(Vec::new()));
        let readers = [server, clone].map(|stream| {
            let got = Rc::clone(&got);
            wakeful::spawn(async move {
                let mut byte = [0];
                // Reads one byte and waits for EOF.
                while stream.read(&mut byte).await.unwrap() == 1 {
                    got.borrow_mut().push(byte[0]);
                }
            })
        });
        settle().await;
        client.write_all(b"ab").await.unwrap();
        settle().await;
        drop(client);
        for reader in readers {
            reader.await.unwrap();
        }
        assert_eq!(*got.borrow(), b"ab");
    });
}

#[test]
fn streams_and_listeners_are_send_and_sync() {
    fn is_send_and_sync<T: Send + Sync + 'static>() {}
    is_send_and_sync::<TcpStream>();
    is_send_and_sync::<TcpListener>();
    is_send_and_sync::<TcpSocket>();
    is_send_and_sync::<tcp::OwnedReadHalf>();
    is_send_and_sync::<tcp::OwnedWriteHalf>();
}

#[test]
fn a_stream_dropped_on_another_thread_is_deregistered() {
    run(async {
        let (server, client) = tcp_pair().await;
        let before = wakeful::metrics().sources;
        let task = wakeful::task::spawn_blocking(move || drop(server));
        task.await.unwrap();
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        settle().await;
        assert_eq!(wakeful::metrics().sources, before - 1);
    });
}

#[test]
fn using_a_stream_on_another_thread_panics_with_operation_and_line() {
    run(async {
        let (server, _client) = tcp_pair().await;
        let line = line!() + 2;
        let result = std::thread::spawn(move || {
            future::block_on(future::poll_once(server.read(&mut [0; 1])));
        });
        let payload = result.join().unwrap_err();
        let text = payload.downcast_ref::<String>().expect("a message");
        assert!(text.contains("TcpStream::read"), "{text}");
        assert!(text.contains(&format!("tcp.rs:{line}")), "{text}");
    });
}

#[test]
fn connecting_outside_a_runtime_panics_with_operation_and_line() {
    let line = line!() + 1;
    let connect = TcpStream::connect("127.0.0.1:1");
    let poll = AssertUnwindSafe(|| future::block_on(connect));
    let payload = catch_unwind(poll).unwrap_err();
    let text = payload.downcast_ref::<String>().expect("a message");
    assert!(text.contains("TcpStream::connect"), "{text}");
    assert!(text.contains(&format!("tcp.rs:{line}")), "{text}");
}

#[test]
fn a_bind_future_can_be_created_before_its_runtime() {
    let bind = TcpListener::bind("127.0.0.1:0");
    run(bind).unwrap();
}

#[test]
fn a_stream_that_outlives_its_runtime_returns_errors() {
    let (server, client) = run(tcp_pair());
    drop(client);
    let err = run(async { server.read(&mut [0; 1]).await }).unwrap_err();
    assert_eq!(err.raw_os_error(), None, "{err}");
}

#[test]
fn the_task_info_of_a_waiting_task_has_operation_and_line() {
    run(async {
        let (server, _client) = tcp_pair().await;
        let line = line!() + 1;
        let task = wakeful::spawn(async move { server.read(&mut [0; 1]).await });
        settle().await;
        let tasks = wakeful::task::dump();
        let waiting = tasks
            .iter()
            .find_map(|task| task.waiting.as_ref())
            .expect("one task waits");
        assert_eq!(waiting.operation, "TcpStream::read");
        assert_eq!(waiting.location.line(), line);
        task.abort();
    });
}
