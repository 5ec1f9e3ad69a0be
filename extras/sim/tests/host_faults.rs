//! Several hosts: crashes, restarts, partitions, and what their peers see of them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::pending;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wakeful::runtime::Runtime;
use wakeful::task::spawn_blocking;
use wakeful::time::{sleep, timeout};
use wakeful_net::{TcpListener, TcpStream};
use wakeful_sim::{Faults, Hosts, Options, hosts};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Runs a program's future on a runtime of its own.
fn run(future: impl Future<Output = ()>) {
    Runtime::new().unwrap().block_on(future);
}

async fn listen() -> TcpListener {
    TcpListener::bind("0.0.0.0:7000").await.unwrap()
}

/// Acknowledges each number that it receives.
fn acknowledge() {
    run(async {
        let listener = listen().await;
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            wakeful::spawn(async move {
                let mut number = [0];
                while stream.read_exact(&mut number).await.is_ok() {
                    stream.write_all(&number).await.ok();
                }
            });
        }
    });
}

async fn put(number: u8) -> io::Result<()> {
    let stream = TcpStream::connect("server:7000").await?;
    stream.write_all(&[number]).await?;
    let mut answer = [0];
    stream.read_exact(&mut answer).await?;
    assert_eq!(answer, [number]);
    Ok(())
}

/// Sends a number until it is acknowledged, and returns how often it was sent.
async fn put_until_acknowledged(number: u8) -> u32 {
    for tries in 1.. {
        if let Ok(Ok(())) = timeout(secs(3), put(number)).await {
            return tries;
        }
        sleep(Duration::from_millis(100)).await;
    }
    unreachable!()
}

wakeful_sim::test! {
    seeds = 40;
    faults = Faults::lossless();
    fn a_client_that_retries_is_served_in_spite_of_a_crash_and_a_partition(sim: &Hosts) {
        let starts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&starts);
        sim.host("server", move || {
            counted.fetch_add(1, Ordering::Relaxed);
            acknowledge();
        });
        sim.client("client", move || {
            let starts = Arc::clone(&starts);
            async move {
                let mut tries = Vec::new();
                for number in 0..60 {
                    sleep(secs(2)).await;
                    tries.push(put_until_acknowledged(number).await);
                }
                assert_eq!(starts.load(Ordering::Relaxed), 2);
                let retried = tries.iter().filter(|tries| **tries > 1).count();
                assert!((2..6).contains(&retried), "{tries:?}");
            }
        });
        sim.at(secs(5), |sim| sim.crash("server"));
        sim.at(secs(65), |sim| sim.restart("server"));
        sim.between(secs(70), secs(130), |sim| sim.partition("client", "server"));
        sim.calm_at(secs(150));
        sim.always(|sim| assert!(sim.open_sockets("server") < 10));
    }
}

/// Sends bytes that must not arrive.
struct LastWords(TcpStream);

impl Drop for LastWords {
    fn drop(&mut self) {
        self.0.try_write(b"last words").ok();
    }
}

/// Connects, and waits for 30 seconds for what must not come.
async fn receive_nothing() -> TcpStream {
    sleep(secs(1)).await;
    let stream = TcpStream::connect("server:7000").await.unwrap();
    let mut first = [0];
    stream.read_exact(&mut first).await.unwrap();
    let more = timeout(secs(30), stream.read(&mut first)).await;
    assert!(more.is_err(), "{more:?}");
    stream
}

/// Serves one connection, and ends badly.
fn last_words() {
    run(async {
        let listener = listen().await;
        let (stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"!").await.unwrap();
        let _kept = LastWords(stream);
        pending::<()>().await;
    });
}

wakeful_sim::test! {
    seeds = 100;
    faults = Faults::lossless();
    fn nothing_of_a_crashed_host_reaches_its_peers_until_it_has_restarted(sim: &Hosts) {
        sim.host("server", last_words);
        sim.between(secs(5), secs(60), |sim| sim.crash("server"));
        let sim = sim.clone();
        sim.clone().client("client", move || {
            let sim = sim.clone();
            async move {
                let stream = receive_nothing().await;
                assert_eq!(sim.open_sockets("server"), 0);
                // Sent again until the machine answers that it knows no such connection.
                stream.write_all(b"?").await.unwrap();
                let error = stream.read(&mut [0]).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                assert!((60..120).contains(&sim.elapsed().as_secs()));
            }
        });
    }
}

wakeful_sim::test! {
    seeds = 50;
    fn a_signal_in_contrast_lets_the_kernel_close_the_connections(sim: &Hosts) {
        sim.host("server", last_words);
        sim.at(secs(5), |sim| sim.signal("server", wakeful::signal::unix::SignalKind::from_raw(9)));
        sim.client("client", async || {
            sleep(secs(1)).await;
            let stream = TcpStream::connect("server:7000").await.unwrap();
            stream.read_exact(&mut [0]).await.unwrap();
            assert_eq!(stream.read(&mut [0; 20]).await.unwrap(), 0, "an end and no words");
        });
    }
}

wakeful_sim::test! {
    seeds = 50;
    fn a_connection_to_a_host_that_stays_down_ends_after_the_times_of_linux(sim: &Hosts) {
        sim.host("server", || run(async {
            let listener = listen().await;
            let (stream, _) = listener.accept().await.unwrap();
            stream.read(&mut [0]).await.ok();
            unreachable!("the host is down");
        }));
        sim.at(secs(5), |sim| sim.crash("server"));
        let sim = sim.clone();
        sim.clone().client("client", move || {
            let sim = sim.clone();
            async move {
                sleep(secs(1)).await;
                let stream = TcpStream::connect("server:7000").await.unwrap();
                sleep(secs(9)).await;
                let before = sim.elapsed();
                let error = TcpStream::connect("server:7000").await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::TimedOut);
                assert_eq!((sim.elapsed() - before).as_secs(), 127);
                let before = sim.elapsed();
                stream.write_all(b"?").await.unwrap();
                let error = stream.read(&mut [0]).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::TimedOut);
                assert_eq!((sim.elapsed() - before).as_secs(), 924);
            }
        });
    }
}

wakeful_sim::test! {
    seeds = 50;
    faults = Faults::lossless();
    fn what_is_sent_in_a_partition_arrives_after_it_and_in_order(sim: &Hosts) {
        let times = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&times);
        let clock = sim.clone();
        sim.host("server", move || {
            let (sim, seen) = (clock.clone(), Arc::clone(&seen));
            run(async move {
                let listener = listen().await;
                let (stream, _) = listener.accept().await.unwrap();
                let mut next = [0];
                while stream.read(&mut next).await.unwrap() > 0 {
                    seen.lock().unwrap().push((next[0], sim.elapsed().as_secs()));
                }
                stream.write_all(b"all").await.unwrap();
            });
        });
        sim.client("client", move || {
            let times = Arc::clone(&times);
            async move {
                sleep(secs(1)).await;
                let stream = TcpStream::connect("server:7000").await.unwrap();
                for number in 0..60 {
                    stream.write_all(&[number]).await.unwrap();
                    sleep(secs(1)).await;
                }
                stream.shutdown().await.unwrap();
                let mut answer = [0; 3];
                stream.read_exact(&mut answer).await.unwrap();
                let times = times.lock().unwrap();
                let numbers = times.iter().map(|(number, _)| *number);
                assert!(numbers.eq(0..60), "{times:?}");
                let in_partition = times.iter().any(|(_, at)| (10..40).contains(at));
                assert!(!in_partition, "{times:?}");
            }
        });
        sim.between(secs(10), secs(40), |sim| sim.partition("server", "client"));
    }
}

wakeful_sim::test! {
    seeds = 50;
    fn a_connection_that_begins_in_a_partition_is_made_after_it(sim: &Hosts) {
        sim.host("server", acknowledge);
        sim.host("other", acknowledge);
        sim.between(Duration::ZERO, secs(10), |sim| sim.partition("client", "server"));
        sim.between(secs(2), secs(20), |sim| sim.partition("client", "server"));
        let sim = sim.clone();
        sim.clone().client("client", move || {
            let sim = sim.clone();
            async move {
                sleep(secs(1)).await;
                TcpStream::connect("other:7000").await.unwrap();
                assert_eq!(sim.elapsed().as_secs(), 1, "another host is reached");
                put(1).await.unwrap();
                // Tried after 1, 3, 7, 15 and 31 seconds.
                assert_eq!(sim.elapsed().as_secs(), 32);
            }
        });
    }
}

#[test]
fn after_calm_there_are_no_faults_and_no_partitions() {
    let setup = |sim: &Hosts| {
        sim.partition("client", "server");
        sim.calm_at(Duration::ZERO);
    };
    let options = Options::new().faults(Faults::lossless());
    for seed in 0..20 {
        let run = hosts::run_seed("test", seed, options, |sim| {
            sim.host("server", acknowledge);
            sim.client("client", async || {
                sleep(secs(1)).await;
                timeout(secs(1), put(7)).await.unwrap().unwrap();
            });
            setup(sim);
        });
        assert!(run.panic.is_none(), "seed {seed}");
        let text = run.tape.to_string();
        for line in text.lines().skip(3) {
            let stream = line.split(' ').next().unwrap();
            let orders = ["events", "hosts", "order", "hold"];
            assert!(orders.contains(&stream), "{line}");
        }
    }
}

wakeful_sim::test! {
    seeds = 50;
    fn hosts_can_crash_each_other_and_themselves(sim: &Hosts) {
        let starts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&starts);
        let clone = sim.clone();
        sim.host("server", move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let sim = clone.clone();
            run(async move {
                let listener = listen().await;
                listener.accept().await.unwrap();
                // In a task the crash does not end the program at once, but with the next wait.
                let task = wakeful::spawn(async move { sim.crash("server") });
                task.await.unwrap_err();
                pending().await
            });
        });
        let sim = sim.clone();
        sim.clone().client("client", move || {
            let (sim, starts) = (sim.clone(), Arc::clone(&starts));
            async move {
                sleep(secs(1)).await;
                assert!(sim.is_running("server"));
                TcpStream::connect("server:7000").await.unwrap();
                sleep(secs(1)).await;
                assert!(!sim.is_running("server"));
                sim.restart("server");
                sleep(secs(1)).await;
                sim.crash("server");
                assert!(!sim.is_running("server"));
                sim.restart("server");
                sim.restart("server");
                sleep(secs(1)).await;
                assert!(sim.is_running("server"));
                assert_eq!(starts.load(Ordering::Relaxed), 3, "one of them had no turn");
            }
        });
    }
}

wakeful_sim::test! {
    seeds = 20;
    fn a_client_that_crashes_has_to_be_restarted_and_to_end(sim: &Hosts) {
        let ends = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&ends);
        sim.client("client", move || {
            let ends = Arc::clone(&counted);
            async move {
                sleep(secs(10)).await;
                ends.fetch_add(1, Ordering::Relaxed);
            }
        });
        sim.between(secs(5), secs(50), |sim| sim.crash("client"));
        let clone = sim.clone();
        sim.client("other", move || {
            let (sim, ends) = (clone.clone(), Arc::clone(&ends));
            async move {
                sleep(secs(59)).await;
                assert_eq!(ends.load(Ordering::Relaxed), 0);
                assert!(sim.is_running("client"));
                sleep(secs(2)).await;
                assert_eq!(ends.load(Ordering::Relaxed), 1);
            }
        });
    }
}

wakeful_sim::test! {
    seeds = 50;
    faults = Faults::lossless();
    fn a_closure_does_not_run_after_the_crash_of_its_host(sim: &Hosts) {
        let starts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&starts);
        sim.host("server", move || {
            let number = counted.fetch_add(1, Ordering::Relaxed) + 1;
            run(async {
                loop {
                    let counted = Arc::clone(&counted);
                    let current = spawn_blocking(move || counted.load(Ordering::Relaxed));
                    assert_eq!(current.await.unwrap(), number);
                }
            });
        });
        // A closure is always in flight.
        for crash in 1..10 {
            sim.at(Duration::from_millis(crash), |sim| sim.restart("server"));
        }
        sim.client("client", move || {
            let starts = Arc::clone(&starts);
            async move {
                sleep(Duration::from_millis(20)).await;
                assert_eq!(starts.load(Ordering::Relaxed), 10);
            }
        });
    }
}

/// A destructor that waits, which a program that is ended cannot do.
struct WaitsWhenDropped;

impl Drop for WaitsWhenDropped {
    fn drop(&mut self) {
        wakeful::block_on(async { sleep(secs(1)).await });
    }
}

wakeful_sim::test! {
    seeds = 3;
    fn a_destructor_that_waits_does_not_stop_the_run(sim: &Hosts) {
        sim.host("server", || {
            let _waits = WaitsWhenDropped;
            run(pending());
        });
        sim.client("client", || sleep(secs(2)));
        sim.between(secs(1), secs(1), |sim| sim.crash("server"));
    }
}
