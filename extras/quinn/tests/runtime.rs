//! The traits of the adapter, without a connection. `examples/ecosystem` tests it with connections.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::poll_fn;
use std::io::IoSliceMut;
use std::net::UdpSocket;
use std::time::Duration;

use quinn::Runtime;
use quinn::udp::RecvMeta;
use wakeful::time::timeout;
use wakeful_quinn::WakefulRuntime;

#[test]
fn timers_and_now_use_the_runtimes_clock() {
    let runtime = wakeful::runtime::Builder::new().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let begin = WakefulRuntime.now();
        let second = Duration::from_secs(1);
        let mut timer = WakefulRuntime.new_timer(begin + second);
        poll_fn(|cx| timer.as_mut().poll(cx)).await;
        assert_eq!(WakefulRuntime.now() - begin, second);

        // A later and an earlier deadline than before.
        for (until, expected) in [(5, 5), (3, 5)] {
            timer.as_mut().reset(begin + until * second);
            poll_fn(|cx| timer.as_mut().poll(cx)).await;
            assert_eq!(WakefulRuntime.now() - begin, expected * second);
        }
    });
}

#[test]
fn several_datagrams_are_received_without_one_being_lost() {
    wakeful::block_on(async {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let socket = WakefulRuntime.wrap_udp_socket(socket).unwrap();
        assert_eq!(socket.local_addr().unwrap(), address);
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let receiving = wakeful::spawn(async move {
            let mut lengths = Vec::new();
            while lengths.len() < 50 {
                let mut memory = [0; 2048];
                let mut meta = [RecvMeta::default()];
                let mut bufs = [IoSliceMut::new(&mut memory)];
                let received = poll_fn(|cx| socket.poll_recv(cx, &mut bufs, &mut meta));
                let limit = Duration::from_secs(60);
                let n = timeout(limit, received).await.unwrap().unwrap();
                lengths.extend(meta[..n].iter().map(|meta| meta.len));
            }
            lengths
        });
        // The receiver waits first, and again in between.
        wakeful::task::yield_now().await;
        for n in 1..=50 {
            sender.send_to(&vec![0; n], address).unwrap();
            if n % 7 == 0 {
                wakeful::task::yield_now().await;
            }
        }
        let expected: Vec<_> = (1..=50).collect();
        assert_eq!(receiving.await.unwrap(), expected);
    });
}
