//! Point 43. After a reset by the peer, reader and writer get ECONNRESET or EPIPE, never SIGPIPE.

use std::io::{ErrorKind, IoSlice, PipeWriter, Write as _};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wakeful_net::{TcpStream, UnixStream};
use wakeful_tests::net_support::{run, settle, tcp_and_std, tcp_pair};
use wakeful_tests::trace::alone;

/// Drops the peer so that it sends a reset.
fn reset(peer: std::net::TcpStream) {
    socket2::SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(peer);
}

#[test]
fn a_reset_wakes_the_waiting_reader_with_an_error_and_then_eof() {
    run(async {
        let (server, peer) = tcp_and_std().await;
        let reader = wakeful::spawn(async move {
            let err = server.read(&mut [0; 8]).await.unwrap_err();
            (err.kind(), server.read(&mut [0; 8]).await.unwrap())
        });
        settle().await;
        reset(peer);
        assert_eq!(reader.await.unwrap(), (ErrorKind::ConnectionReset, 0));
    });
}

#[test]
fn a_reset_wakes_the_waiting_writer() {
    run(async {
        let (server, peer) = tcp_and_std().await;
        while server.try_write(&[0; 65536]).is_ok() {}
        let writer = wakeful::spawn(async move { server.write(&[0; 65536]).await });
        settle().await;
        assert!(!writer.is_finished());
        reset(peer);
        let kind = writer.await.unwrap().unwrap_err().kind();
        assert!(
            matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
            "{kind:?}"
        );
    });
}

#[test]
fn a_reset_wakes_both_reader_and_writer() {
    run(async {
        let (server, peer) = tcp_and_std().await;
        while server.try_write(&[0; 65536]).is_ok() {}
        let server = Rc::new(server);
        let reader = wakeful::spawn({
            let server = Rc::clone(&server);
            async move { server.read(&mut [0; 8]).await.map_err(|err| err.kind()) }
        });
        let writer = wakeful::spawn(async move {
            server
                .write_all(&[0; 65536])
                .await
                .map_err(|err| err.kind())
        });
        settle().await;
        reset(peer);
        // The kernel returns ECONNRESET once, to the first system call.
        let (read, wrote) = (reader.await.unwrap(), writer.await.unwrap());
        assert!(
            matches!(read, Ok(0) | Err(ErrorKind::ConnectionReset)),
            "{read:?}"
        );
        let expected = matches!(
            wrote,
            Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
        );
        assert!(expected, "{wrote:?}");
    });
}

/// Calls every write operation of a stream whose peer is closed.
async fn call_every_write(tcp: &TcpStream, unix: &UnixStream) {
    let parts = [IoSlice::new(b"x"), IoSlice::new(b"y")];
    for _ in 0..2 {
        let results = [
            tcp.write(b"x").await.map(drop),
            tcp.write_all(b"x").await,
            tcp.write_vectored(&parts).await.map(drop),
            tcp.try_write(b"x").map(drop),
            tcp.try_write_vectored(&parts).map(drop),
            unix.write(b"x").await.map(drop),
            unix.write_all(b"x").await,
            unix.write_vectored(&parts).await.map(drop),
            unix.try_write(b"x").map(drop),
            unix.try_write_vectored(&parts).map(drop),
        ];
        for result in results {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
    }
}

#[test]
fn no_write_ever_raises_sigpipe() {
    alone(|| {
        let raised = Arc::new(AtomicBool::new(false));
        let sigpipe = signal_hook::consts::SIGPIPE;
        signal_hook::flag::register(sigpipe, Arc::clone(&raised)).unwrap();
        run(async {
            let (tcp, peer) = tcp_pair().await;
            let (unix, far) = UnixStream::pair().unwrap();
            drop((peer, far));
            // The closed peer answers the first bytes with a reset.
            tcp.write_all(b"x").await.unwrap();
            assert!(tcp.read(&mut [0; 8]).await.is_ok_and(|n| n == 0));
            settle().await;
            call_every_write(&tcp, &unix).await;
        });
        assert!(!raised.load(Ordering::SeqCst), "SIGPIPE");

        // A plain write(2) raises the signal, which shows that the handler would have caught it.
        let (reader, writer): (_, PipeWriter) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(
            (&writer).write(b"x").unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
        assert!(raised.load(Ordering::SeqCst));
    });
}
