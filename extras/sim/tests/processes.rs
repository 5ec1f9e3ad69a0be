//! One seed gives one run in two processes, whose addresses and hash keys differ.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::env;
use std::future::Future;
use std::process::{Command, id};
use std::time::Duration;

use wakeful::runtime::Runtime;
use wakeful::task::{spawn_blocking, yield_now};
use wakeful::time::{sleep, timeout};
use wakeful_net::{TcpListener, TcpStream};
use wakeful_sim::{Faults, Hosts, Options, Sim, hosts, run_seed};

/// Is set in a child process.
const CHILD: &str = "WAKEFUL_SIM_TEST_CHILD";
/// Begins each line that a child writes for its parent.
const MARK: &str = "run ";

/// Two clients with three messages each.
async fn echo(_: Sim) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let clients = [1, 2].map(|client| {
        wakeful::spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            for message in 0..3 {
                let sent = vec![client; 10 + message];
                stream.write_all(&sent).await.unwrap();
                let mut got = vec![0; sent.len()];
                stream.read_exact(&mut got).await.unwrap();
                assert_eq!(got, sent);
            }
        })
    });
    for _ in 0..2 {
        let (stream, _) = listener.accept().await.unwrap();
        wakeful::spawn(async move {
            let mut buf = [0; 64];
            while let n @ 1.. = stream.read(&mut buf).await.unwrap() {
                stream.write_all(&buf[..n]).await.unwrap();
            }
        });
    }
    for client in clients {
        client.await.unwrap();
    }
}

/// More bytes than one transfer takes.
async fn bulk(_: Sim) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = wakeful::spawn(async move {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&[7; 4_000]).await.unwrap();
    });
    let (stream, _) = listener.accept().await.unwrap();
    let mut got = vec![0; 4_000];
    stream.read_exact(&mut got).await.unwrap();
    client.await.unwrap();
}

async fn timers(_: Sim) {
    for _ in 0..5 {
        let slow = sleep(Duration::from_secs(3_600));
        assert!(timeout(Duration::from_secs(60), slow).await.is_err());
        wakeful::spawn(yield_now());
        spawn_blocking(|| ()).await.unwrap();
    }
}

/// A planted leak. It is the same in each run of a process.
async fn process_id(_: Sim) {
    sleep(Duration::from_micros(id().into())).await;
    TcpListener::bind("127.0.0.1:0").await.unwrap();
}

/// Writes one line for each seed.
fn write_hashes<F: Future<Output = ()>>(name: &str, seeds: u64, body: impl Fn(Sim) -> F) {
    let options = Options::new().faults(Faults::lossless());
    for seed in 0..seeds {
        let run = run_seed(name, seed, options, &body);
        assert!(run.panic.is_none(), "{name}, seed {seed}");
        println!("\n{MARK}{name} {seed} {:016x}", run.hash);
    }
}

/// A server that crashes, and a client.
fn two_hosts(sim: &Hosts) {
    sim.host("server", || {
        Runtime::new().unwrap().block_on(async {
            let listener = TcpListener::bind("0.0.0.0:7000").await.unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                wakeful::spawn(async move {
                    let mut buf = [0; 64];
                    while let Ok(n @ 1..) = stream.read(&mut buf).await {
                        stream.write_all(&buf[..n]).await.ok();
                    }
                });
            }
        });
    });
    sim.client("client", async || {
        for _ in 0..10 {
            sleep(Duration::from_millis(500)).await;
            let asked = async {
                let stream = TcpStream::connect("server:7000").await?;
                stream.write_all(b"some bytes").await?;
                stream.read_exact(&mut [0; 10]).await
            };
            timeout(Duration::from_secs(1), asked).await.ok();
            spawn_blocking(|| ()).await.unwrap();
        }
    });
    let crash = Duration::from_millis(1_000 + u64::from(sim.choose(10)));
    sim.between(crash, crash * 2, |sim| sim.crash("server"));
    sim.between(crash * 2, crash * 3, |sim| {
        sim.partition("client", "server")
    });
}

fn write_hashes_of_hosts(seeds: u64) {
    let options = Options::new().faults(Faults::lossless());
    for seed in 0..seeds {
        let run = hosts::run_seed("hosts", seed, options, two_hosts);
        assert!(run.panic.is_none(), "seed {seed}");
        println!("\n{MARK}hosts {seed} {:016x}", run.hash);
    }
}

/// Runs the test `test` of this program in a child process, and returns its lines.
fn child(test: &str) -> Vec<String> {
    let output = Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    let lines = text.lines().filter(|line| line.starts_with(MARK));
    lines.map(str::to_owned).collect()
}

#[test]
fn equal_seeds_give_equal_events_in_two_processes() {
    if env::var_os(CHILD).is_some() {
        write_hashes("echo", 1_000, echo);
        write_hashes("bulk", 1_000, bulk);
        write_hashes("timers", 1_000, timers);
        write_hashes_of_hosts(100);
        return;
    }
    let name = "equal_seeds_give_equal_events_in_two_processes";
    let (one, other) = (child(name), child(name));
    assert_eq!((one.len(), other.len()), (3_100, 3_100));
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one, other);
    }
}

/// Running a seed twice in one process cannot find this leak, so it shows that the test above can fail.
#[test]
fn what_follows_from_the_process_differs_in_two_processes_only() {
    if env::var_os(CHILD).is_some() {
        write_hashes("process_id", 1, process_id);
        write_hashes("process_id", 1, process_id);
        return;
    }
    let name = "what_follows_from_the_process_differs_in_two_processes_only";
    let (one, other) = (child(name), child(name));
    assert_eq!((one.len(), other.len()), (2, 2));
    assert_eq!(one[0], one[1]);
    assert_eq!(other[0], other[1]);
    assert_ne!(one[0], other[0]);
}
