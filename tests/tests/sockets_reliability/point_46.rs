//! Point 46. Short writes and tiny kernel buffers keep every byte in order.

use std::io::IoSlice;
use std::os::fd::AsFd;

use futures_lite::future;
use wakeful_net::{TcpSocket, UnixStream};
use wakeful_tests::net_support::{pattern, run};

/// Sets both buffers to the smallest size that the kernel allows.
fn shrink(fd: impl AsFd) {
    let socket = socket2::SockRef::from(&fd);
    socket.set_send_buffer_size(1).unwrap();
    socket.set_recv_buffer_size(1).unwrap();
}

#[test]
fn a_large_write_goes_through_tiny_tcp_buffers_in_order() {
    run(async {
        const LEN: usize = 1 << 20;
        let socket = TcpSocket::new_v4().unwrap();
        shrink(&socket);
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        shrink(&socket);
        let client = socket
            .connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (server, _) = listener.accept().await.unwrap();

        let bytes = pattern(LEN, 46);
        let write = async {
            client.write_all(&bytes).await.unwrap();
            client.shutdown_now(std::net::Shutdown::Write).unwrap();
        };
        let read = async {
            let (mut got, mut buf) = (Vec::new(), [0; 777]);
            while let n @ 1.. = server.read(&mut buf).await.unwrap() {
                got.extend_from_slice(&buf[..n]);
            }
            got
        };
        let ((), got) = future::zip(write, read).await;
        assert!(got == bytes);
    });
}

#[test]
fn vectored_writes_stay_in_order_wherever_they_are_cut() {
    run(async {
        const LEN: usize = 1 << 20;
        let (near, far) = UnixStream::pair().unwrap();
        shrink(&near);
        shrink(&far);
        let bytes = pattern(LEN, 64);
        let write = async {
            let mut sent = 0;
            let mut cut = 0;
            while sent < LEN {
                let rest = &bytes[sent..];
                let (a, b) = rest.split_at((sent * 31 % 5_000).min(rest.len()));
                let n = near
                    .write_vectored(&[IoSlice::new(a), IoSlice::new(b)])
                    .await
                    .unwrap();
                assert!(n > 0);
                cut += usize::from(n < rest.len());
                sent += n;
            }
            near.shutdown_now(std::net::Shutdown::Write).unwrap();
            cut
        };
        let read = async {
            let (mut got, mut buf) = (Vec::new(), [0; 3_001]);
            while let n @ 1.. = far.read(&mut buf).await.unwrap() {
                got.extend_from_slice(&buf[..n]);
            }
            got
        };
        let (cut, got) = future::zip(write, read).await;
        assert!(got == bytes);
        assert!(cut > 10, "the buffers were too large for short writes");
    });
}

#[test]
fn a_write_after_a_short_write_waits_for_the_next_edge() {
    run(async {
        let (near, far) = UnixStream::pair().unwrap();
        let chunk = pattern(1 << 20, 1);
        let first = near.write(&chunk).await.unwrap();
        assert!(first < chunk.len(), "the first write is short");
        assert!(
            future::poll_once(near.write(&chunk)).await.is_none(),
            "the buffer is full"
        );
        let mut got = vec![0; first];
        far.read_exact(&mut got).await.unwrap();
        assert!(got == chunk[..first]);
        assert!(near.write(&chunk).await.unwrap() > 0);
    });
}
