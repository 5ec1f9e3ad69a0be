//! The simulation: one seed gives one run, time passes at once, what hangs is found, and tapes repeat a run.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::Cell;
use std::collections::HashSet;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::zip;
use wakeful::task::{spawn_blocking, yield_now};
use wakeful::time::{Instant, sleep, timeout};
use wakeful_net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use wakeful_sim::{Faults, Options, Run, Sim, run_seed, run_tape};

/// Echoes until the clients have left.
async fn serve(listener: TcpListener) {
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

/// Sends and receives `count` bytes at once.
async fn ask(stream: &TcpStream, count: usize) {
    let sent: Vec<u8> = (0..count).map(|byte| byte as u8).collect();
    let mut got = vec![0; count];
    let (wrote, read) = zip(stream.write_all(&sent), stream.read_exact(&mut got)).await;
    wrote.unwrap();
    read.unwrap();
    assert!(got == sent);
}

/// Four clients with six messages each.
async fn echo(sim: Sim) {
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = wakeful::spawn(serve(listener));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            wakeful::spawn(async move {
                let stream = TcpStream::connect(address).await.unwrap();
                for message in 0..6 {
                    ask(&stream, 1 + client * 7 + message).await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    server.abort();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(sim.open_sockets(), 0, "all connections are closed");
}

/// More than fits into the buffers.
async fn bulk(_: Sim) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = wakeful::spawn(serve(listener));
    let stream = TcpStream::connect(address).await.unwrap();
    ask(&stream, 300_000).await;
    server.abort();
}

async fn timers(_: Sim) {
    for _ in 0..50 {
        let slow = sleep(Duration::from_secs(3_600));
        assert!(timeout(Duration::from_secs(60), slow).await.is_err());
        wakeful::spawn(yield_now());
        spawn_blocking(|| ()).await.unwrap();
    }
}

fn lossless() -> Options {
    Options::new().faults(Faults::lossless())
}

/// Returns the hashes of runs with many seeds, each of them run twice.
fn hashes<F: Future<Output = ()>>(seeds: u64, body: impl Fn(Sim) -> F) -> HashSet<u64> {
    let run = |seed| {
        let run = run_seed("test", seed, lossless(), &body);
        assert!(run.panic.is_none(), "seed {seed}");
        run.hash
    };
    (0..seeds)
        .map(|seed| {
            let hash = run(seed);
            assert_eq!(hash, run(seed), "seed {seed}");
            hash
        })
        .collect()
}

#[test]
fn equal_seeds_give_equal_events_and_others_give_others() {
    assert_eq!(hashes(100, echo).len(), 100);
    assert_eq!(hashes(5, bulk).len(), 5);
    hashes(20, timers);
}

#[test]
fn without_faults_everything_is_plain_but_the_order() {
    let options = Options::new().faults(Faults::none());
    let run = run_seed("test", 1, options, echo);
    assert!(run.panic.is_none());
    let text = run.tape.to_string();
    let streams = text.lines().skip(3);
    assert!(streams.clone().count() > 0);
    for line in streams {
        let name = line.split(' ').next().unwrap();
        assert!(["order", "hold", "events"].contains(&name), "{line}");
    }
}

wakeful_sim::test! {
    seeds = 50;
    faults = Faults::lossless();
    async fn a_virtual_day_takes_no_time(sim: Sim) {
        let start = Instant::now();
        let before = sim.elapsed();
        let day = Duration::from_secs(24 * 3_600);
        sleep(day).await;
        assert_eq!(start.elapsed(), sim.elapsed() - before);
        assert!(start.elapsed() >= day);
        assert!(start.elapsed() < day + Duration::from_millis(1));
    }
}

wakeful_sim::test! {
    seeds = 10;
    async fn a_task_that_always_yields_does_not_stop_the_time(_sim: Sim) {
        // Without a socket nothing asks the kernel for events.
        let busy = wakeful::spawn(async {
            loop {
                yield_now().await;
            }
        });
        sleep(Duration::from_millis(1)).await;
        busy.abort();
    }
}

wakeful_sim::test! {
    seeds = 200;
    faults = Faults::lossless();
    async fn echoes_come_back_under_every_seed(sim: Sim) {
        echo(sim).await;
    }
}

/// A client that takes one read for one message.
async fn one_read_per_message(_: Sim) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    wakeful::spawn(serve(listener));
    let stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..10 {
        stream.write_all(b"a message of some length").await.unwrap();
        let mut buf = [0; 100];
        assert_eq!(stream.read(&mut buf).await.unwrap(), 24);
    }
}

fn first_failure<F: Future<Output = ()>>(options: Options, body: impl Fn(Sim) -> F) -> (u64, Run) {
    (0..500)
        .map(|seed| (seed, run_seed("test", seed, options, &body)))
        .find(|(_, run)| run.panic.is_some())
        .expect("one of 500 seeds fails")
}

fn text_of(run: Run) -> String {
    let panic = run.panic.expect("the run failed");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => (*other.downcast_ref::<&str>().unwrap()).to_owned(),
    }
}

#[test]
fn a_read_that_is_taken_for_a_message_is_found_by_faults_only() {
    let plain = Options::new().faults(Faults::none());
    for seed in 0..100 {
        assert!(
            run_seed("test", seed, plain, one_read_per_message)
                .panic
                .is_none()
        );
    }
    let (seed, run) = first_failure(lossless(), one_read_per_message);
    assert!(seed < 5);
    // The tape repeats the run, also as text.
    let (hash, tape) = (run.hash, run.tape.clone());
    let text = text_of(run);
    let again = run_tape(
        tape.to_string().parse().unwrap(),
        lossless(),
        one_read_per_message,
    );
    assert_eq!((again.hash, &again.tape), (hash, &tape));
    assert_eq!(text_of(again), text);
}

/// Two peers that read before they write.
async fn both_read_first(_: Sim) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connect = TcpStream::connect(listener.local_addr().unwrap());
    let (accepted, client) = zip(listener.accept(), connect).await;
    let (server, _) = accepted.unwrap();
    let client = client.unwrap();
    let (mut one, mut other) = ([0], [0]);
    let (one, other) = zip(server.read(&mut one), client.read(&mut other)).await;
    unreachable!("a peer has read {one:?} or {other:?}");
}

#[test]
fn a_run_in_which_nothing_is_in_flight_is_a_deadlock() {
    let run = run_seed("test", 1, Options::new(), both_read_first);
    let text = text_of(run);
    assert!(text.starts_with("deadlock after "), "{text}");
    let pending = |_| std::future::pending();
    let text = text_of(run_seed("test", 1, Options::new(), pending));
    assert!(text.contains("deadlock"), "{text}");
}

/// Returns the message with which the simulation refuses a test whose runs differ.
fn refused<F: Future<Output = ()>>(leaks: impl Fn(Sim) -> F) -> String {
    let options = Options::new().seeds(1);
    let failed = catch_unwind(AssertUnwindSafe(|| {
        wakeful_sim::check("test", options, leaks)
    }));
    let text = *failed.unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("two runs of the seed 0x"), "{text}");
    text
}

#[test]
fn a_test_that_leaves_something_behind_in_a_static_is_found() {
    thread_local!(static RUNS: Cell<u32> = const { Cell::new(0) });
    let text = refused(|_| async {
        RUNS.set(RUNS.get() + 1);
        sleep(Duration::from_secs(RUNS.get().into())).await;
        TcpListener::bind("127.0.0.1:0").await.unwrap();
    });
    assert!(text.contains("differ: event 0 was `at "), "{text}");
}

#[test]
fn a_difference_that_only_tasks_see_is_found() {
    thread_local!(static RUNS: Cell<u32> = const { Cell::new(0) });
    let text = refused(|_| async {
        RUNS.set(RUNS.get() + 1);
        let tasks: Vec<_> = (0..RUNS.get())
            .map(|_| wakeful::spawn(yield_now()))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert!(text.contains("differ: the choice `"), "{text}");
}

wakeful_sim::test! {
    seeds = 1;
    async fn port_0_is_never_one_that_is_in_use(_sim: Sim) {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut next = first.local_addr().unwrap();
        next.set_port(next.port() + 1);
        let second = TcpListener::bind(next).await.unwrap();
        let third = TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert_ne!(third.local_addr().unwrap(), second.local_addr().unwrap());
    }
}

wakeful_sim::test! {
    seeds = 10;
    async fn what_is_not_of_the_world_is_refused(_sim: Sim) {
        let kinds = [
            UdpSocket::bind("127.0.0.1:0").await.unwrap_err().kind(),
            UnixStream::pair().unwrap_err().kind(),
            TcpStream::connect("example.org:80").await.unwrap_err().kind(),
        ];
        let unsupported = ErrorKind::Unsupported;
        assert_eq!(kinds, [unsupported, unsupported, ErrorKind::NotFound]);
        let std = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(TcpListener::from_std(std).unwrap_err().kind(), unsupported);
    }
}

wakeful_sim::test! {
    seeds = 50;
    async fn options_are_those_of_the_real_socket(_sim: Sim) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        for socket in [&stream, &accepted] {
            socket.set_nodelay(true).unwrap();
            assert!(socket.nodelay().unwrap());
        }
        let clone = stream.try_clone().unwrap();
        drop(stream);
        let finished = Rc::new(Cell::new(false));
        let reader = wakeful::spawn({
            let finished = Rc::clone(&finished);
            async move {
                assert_eq!(accepted.read(&mut [0; 1]).await.unwrap(), 0);
                finished.set(true);
            }
        });
        sleep(Duration::from_secs(1)).await;
        assert!(!finished.get(), "a duplicate is open");
        drop(clone);
        reader.await.unwrap();
    }
}

wakeful_sim::test! {
    seeds = 300;
    faults = Faults::lossless();
    async fn an_end_right_behind_bytes_is_seen_under_every_seed(_sim: Sim) {
        let (listener, sent) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), b"and the end");
        let address = listener.local_addr().unwrap();
        let client = wakeful::spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(sent).await.unwrap();
        });
        let (stream, _) = listener.accept().await.unwrap();
        let (mut got, mut buf) = (Vec::new(), [0; 64]);
        while let n @ 1.. = stream.read(&mut buf).await.unwrap() {
            got.extend_from_slice(&buf[..n]);
        }
        assert_eq!(got, sent);
        client.await.unwrap();
    }
}
