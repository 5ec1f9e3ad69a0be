//! Datagrams and Unix sockets in the simulation: what faults do to them, and what the program sees.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::zip;
use wakeful::time::{sleep, timeout};
use wakeful_net::{UdpSocket, UnixDatagram, UnixListener, UnixStream};
use wakeful_sim::{Faults, Options, Sim, run_seed};

/// Sends ten numbers, and returns those that arrive within a second.
async fn ten_numbers() -> Vec<u8> {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let to = server.local_addr().unwrap();
    for number in 0..10 {
        client.send_to(&[number], to).await.unwrap();
    }
    let mut received = Vec::new();
    let mut buf = [0];
    let limit = Duration::from_secs(1);
    while let Ok(count) = timeout(limit, server.recv(&mut buf)).await {
        assert_eq!(count.unwrap(), 1);
        received.push(buf[0]);
    }
    received
}

/// Returns what arrives under each of 100 seeds.
fn received_under(faults: Faults) -> Vec<Vec<u8>> {
    let received = Rc::new(RefCell::new(Vec::new()));
    for seed in 0..100 {
        let body = |_| async {
            let numbers = ten_numbers().await;
            received.borrow_mut().push(numbers);
        };
        let run = run_seed("test", seed, Options::new().faults(faults), body);
        assert!(run.panic.is_none(), "seed {seed}");
    }
    received.take()
}

#[test]
fn a_send_in_segments_is_whole_under_every_seed() {
    for seed in 0..100 {
        let body = |_| async {
            let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let to = server.local_addr().unwrap();
            let sent = client.send_segments(&[7; 2_500], 500, to, None).await;
            assert_eq!(sent.unwrap(), 2_500);
            for _ in 0..5 {
                assert_eq!(server.recv(&mut [0; 1_000]).await.unwrap(), 500);
            }
        };
        let options = Options::new().faults(Faults::lossless());
        let run = run_seed("test", seed, options, body);
        assert!(run.panic.is_none(), "seed {seed}: {:?}", run.panic);
    }
}

#[test]
fn only_hostile_faults_lose_double_and_reorder_datagrams() {
    let in_order: Vec<u8> = (0..10).collect();
    for faults in [Faults::none(), Faults::delays_only(), Faults::lossless()] {
        for received in received_under(faults) {
            assert_eq!(received, in_order, "{faults:?}");
        }
    }
    let all = received_under(Faults::hostile());
    let lost = |received: &Vec<u8>| in_order.iter().any(|number| !received.contains(number));
    let doubled = |received: &Vec<u8>| {
        let times = |number| received.iter().filter(|other| *other == number).count();
        in_order.iter().any(|number| times(number) > 1)
    };
    let reordered = |received: &Vec<u8>| !received.is_sorted();
    for fault in [&lost as &dyn Fn(&Vec<u8>) -> bool, &doubled, &reordered] {
        let count = all.iter().filter(|received| fault(received)).count();
        assert!((1..100).contains(&count), "{count}");
    }
    // Each of them also comes without the others.
    assert!(
        all.iter()
            .any(|received| lost(received) && !doubled(received))
    );
    assert!(
        all.iter()
            .any(|received| !lost(received) && reordered(received))
    );
}

async fn echo(listener: UnixListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        wakeful::spawn(async move {
            let mut buf = [0; 512];
            while let n @ 1.. = stream.read(&mut buf).await.unwrap() {
                stream.write_all(&buf[..n]).await.unwrap();
            }
        });
    }
}

wakeful_sim::test! {
    seeds = 20;
    faults = Faults::hostile();
    async fn unix_streams_lose_no_byte_under_any_seed(sim: Sim) {
        let server = wakeful::spawn(echo(UnixListener::bind("\0echo").unwrap()));
        let sent: Vec<u8> = (0..400_000).map(|byte| byte as u8).collect();
        let mut got = vec![0; sent.len()];
        let stream = UnixStream::connect("\0echo").await.unwrap();
        let (wrote, read) = zip(stream.write_all(&sent), stream.read_exact(&mut got)).await;
        wrote.unwrap();
        read.unwrap();
        assert!(got == sent);
        drop(stream);
        server.abort();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(sim.open_sockets(), 0, "all connections are closed");
    }
}

wakeful_sim::test! {
    seeds = 100;
    faults = Faults::hostile();
    async fn unix_datagrams_arrive_in_order_under_every_seed(_sim: Sim) {
        let receiver = UnixDatagram::bind("\0receiver").unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender.connect("\0receiver").unwrap();
        let send = async {
            for number in 0..100_u8 {
                sender.send(&[number]).await.unwrap();
            }
        };
        let receive = async {
            for number in 0..100_u8 {
                let mut buf = [0; 2];
                assert_eq!(receiver.recv(&mut buf).await.unwrap(), 1);
                assert_eq!(buf[0], number);
            }
        };
        zip(send, receive).await;
    }
}

wakeful_sim::test! {
    seeds = 5;
    async fn a_path_is_a_name_and_no_file(_sim: Sim) {
        let path = Path::new("/nonexistent/directory/socket");
        let kind = |error: std::io::Error| error.kind();
        let unknown = UnixStream::connect(path).await.unwrap_err();
        assert_eq!(kind(unknown), ErrorKind::NotFound);
        let listener = UnixListener::bind(path).unwrap();
        assert!(fs::symlink_metadata(path).is_err());
        UnixStream::connect(path).await.unwrap();
        drop(listener);
        let closed = UnixStream::connect(path).await.unwrap_err();
        assert_eq!(kind(closed), ErrorKind::ConnectionRefused);
        UnixListener::bind(path).unwrap();
    }
}
