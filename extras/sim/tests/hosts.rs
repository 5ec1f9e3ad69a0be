//! Several hosts: programs with their own runtimes, addresses, names, clocks and signals.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeSet, HashSet};
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use async_lock::Semaphore;
use wakeful::runtime::Runtime;
use wakeful::signal::shutdown_signal;
use wakeful::signal::unix::SignalKind;
use wakeful::task::{self, spawn_blocking, yield_now};
use wakeful::time::{Instant, sleep, timeout};
use wakeful_net::{TcpListener, TcpStream, serve};
use wakeful_sim::{Faults, Hosts, Options, Run, hosts};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Runs a program's future on a runtime of its own.
fn run(future: impl Future<Output = ()>) {
    Runtime::new().unwrap().block_on(future);
}

/// Echoes until it is ended.
fn echo() {
    run(async {
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
}

async fn ask(server: &str, question: &[u8]) {
    let stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(question).await.unwrap();
    let mut answer = vec![0; question.len()];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, question);
}

fn text_of(run: Run) -> String {
    let panic = run.panic.expect("the run failed");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => (*other.downcast_ref::<&str>().unwrap()).to_owned(),
    }
}

fn lossless() -> Options {
    Options::new().faults(Faults::lossless())
}

wakeful_sim::test! {
    seeds = 100;
    faults = Faults::lossless();
    fn a_host_builds_its_own_runtime_and_is_found_by_its_name(sim: &Hosts) {
        let [server, client] = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        sim.host("server", move || run(async move {
            let listener = TcpListener::bind("0.0.0.0:7000").await.unwrap();
            let (stream, peer) = listener.accept().await.unwrap();
            assert_eq!(peer.ip(), client);
            assert_eq!(stream.local_addr().unwrap(), (server, 7000).into());
            stream.write_all(b"hello").await.unwrap();
        }));
        sim.client("client", move || async move {
            let stream = loop {
                match TcpStream::connect("server:7000").await {
                    Ok(stream) => break stream,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
                }
            };
            assert_eq!(stream.peer_addr().unwrap(), (server, 7000).into());
            assert_eq!(stream.local_addr().unwrap().ip(), client);
            let mut got = [0; 5];
            stream.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"hello");
        });
        assert_eq!([sim.address_of("server"), sim.address_of("client")], [server, client]);
    }
}

wakeful_sim::test! {
    seeds = 50;
    fn two_hosts_can_listen_on_the_same_port(sim: &Hosts) {
        sim.host("one", echo);
        sim.host("two", echo);
        sim.client("client", async || {
            sleep(secs(1)).await;
            ask("one:7000", b"first").await;
            ask("two:7000", b"second").await;
            let refused = TcpStream::connect("localhost:7000").await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            let own = TcpListener::bind("0.0.0.0:7000").await.unwrap();
            let taken = TcpListener::bind("127.0.0.1:7000").await.unwrap_err();
            assert_eq!(taken.kind(), ErrorKind::AddrInUse);
            drop(own);
        });
    }
}

wakeful_sim::test! {
    seeds = 50;
    fn each_host_has_its_own_addresses_and_a_loopback_that_others_do_not_reach(sim: &Hosts) {
        sim.host("server", || run(async {
            let local = TcpListener::bind("127.0.0.1:7000").await.unwrap();
            let named = TcpListener::bind("server:7001").await.unwrap();
            assert_eq!(named.local_addr().unwrap().to_string(), "10.0.0.1:7001");
            for name in ["127.0.0.1", "10.0.0.1"] {
                let port = if name == "127.0.0.1" { 7000 } else { 7001 };
                TcpStream::connect((name, port)).await.unwrap();
            }
            local.accept().await.unwrap();
            named.accept().await.unwrap();
            std::future::pending().await
        }));
        sim.client("client", async || {
            sleep(secs(1)).await;
            TcpStream::connect("server:7001").await.unwrap();
            let kind = |result: std::io::Result<TcpStream>| result.unwrap_err().kind();
            let refused = ErrorKind::ConnectionRefused;
            assert_eq!(kind(TcpStream::connect("server:7000").await), refused);
            assert_eq!(kind(TcpStream::connect("localhost:7001").await), refused);
            assert_eq!(kind(TcpStream::connect("nowhere:7001").await), ErrorKind::NotFound);
            let other = TcpListener::bind("server:7002").await.unwrap_err();
            assert_eq!(other.kind(), ErrorKind::AddrNotAvailable);
        });
    }
}

#[test]
fn hosts_that_wait_for_each_other_are_a_deadlock_that_names_both() {
    let run = hosts::run_seed("test", 1, Options::new(), |sim| {
        sim.host("server", || {
            run(async {
                let listener = TcpListener::bind("0.0.0.0:7000").await.unwrap();
                let (stream, _) = listener.accept().await.unwrap();
                stream.read(&mut [0]).await.unwrap();
            });
        });
        sim.client("client", async || {
            sleep(secs(1)).await;
            let stream = TcpStream::connect("server:7000").await.unwrap();
            stream.read(&mut [0]).await.unwrap();
        });
    });
    let text = text_of(run);
    assert!(text.starts_with("deadlock after 1.0"), "{text}");
    assert!(text.ends_with("`server` waits, `client` waits"), "{text}");
}

#[test]
fn a_host_that_panics_fails_the_run_with_its_name() {
    let run = hosts::run_seed("test", 1, Options::new(), |sim| {
        sim.host("server", || {
            run(async {
                sleep(secs(5)).await;
                panic!("on purpose");
            });
        });
        sim.client("client", || sleep(secs(10)));
    });
    let place = run.place.clone().unwrap();
    assert!(place.contains("tests/hosts.rs:"), "{place}");
    assert_eq!(text_of(run), "host `server` panicked: on purpose");
}

#[test]
fn clients_that_never_end_fail_the_run_at_its_last_time() {
    let run = hosts::run_seed("test", 1, Options::new(), |sim| {
        sim.host("server", || {
            run(async {
                loop {
                    sleep(secs(60)).await;
                }
            });
        });
        sim.client("client", async || {
            loop {
                sleep(secs(100)).await;
            }
        });
        sim.end_by(secs(3_600));
    });
    let text = text_of(run);
    let begin = "the clients have not ended after 3600s: ";
    assert!(text.starts_with(begin), "{text}");
}

/// Sleeps for `asked` seconds, which take `passed` seconds of the simulation.
async fn sleeps(sim: Hosts, asked: u64, passed: u64) {
    let (start, before) = (Instant::now(), sim.elapsed());
    sleep(secs(asked)).await;
    assert_eq!(start.elapsed().as_secs(), asked);
    assert_eq!((sim.elapsed() - before).as_secs(), passed);
}

wakeful_sim::test! {
    seeds = 50;
    fn a_drift_changes_the_timers_of_its_host_and_an_offset_its_time_of_day(sim: &Hosts) {
        for (name, asked, passed) in [("plain", 110, 110), ("fast", 110, 100), ("slow", 50, 100)] {
            let clone = sim.clone();
            sim.client(name, move || sleeps(clone.clone(), asked, passed));
        }
        sim.clock("fast", secs(1_000), 100_000);
        sim.clock("slow", Duration::ZERO, -500_000);
        sim.at(secs(50), |sim| {
            let clock = |host| sim.clock_of(host).as_secs();
            assert_eq!(["plain", "fast", "slow"].map(clock), [50, 1_055, 25]);
            sim.clock("plain", secs(7), 0);
            assert_eq!(clock("plain"), 57);
        });
    }
}

wakeful_sim::test! {
    seeds = 20;
    fn a_clock_that_is_set_during_a_sleep_moves_its_end(sim: &Hosts) {
        for (name, passed) in [("faster", 55), ("slower", 152)] {
            let clone = sim.clone();
            sim.client(name, move || sleeps(clone.clone(), 101, passed));
        }
        sim.at(secs(10), |sim| sim.clock("faster", Duration::ZERO, 1_000_000));
        sim.at(secs(50), |sim| sim.clock("slower", Duration::ZERO, -500_000));
    }
}

wakeful_sim::test! {
    seeds = 50;
    faults = Faults::lossless();
    fn a_signal_ends_a_server_of_one_host_only(sim: &Hosts) {
        let ended = Arc::new(AtomicU32::new(0));
        for name in ["one", "two"] {
            let ended = Arc::clone(&ended);
            sim.host(name, move || run(async {
                let listener = TcpListener::bind("0.0.0.0:7000").await.unwrap();
                let handler = async |stream: TcpStream, _: SocketAddr| {
                    stream.write_all(b"!").await.ok();
                };
                let serve = serve(listener, handler).with_graceful_shutdown(shutdown_signal());
                assert_eq!(serve.await.unwrap(), 0);
                ended.fetch_add(1, Ordering::Relaxed);
            }));
        }
        sim.at(secs(5), |sim| sim.signal("one", SignalKind::terminate()));
        sim.client("client", move || {
            let ended = Arc::clone(&ended);
            async move {
                sleep(secs(6)).await;
                assert_eq!(ended.load(Ordering::Relaxed), 1);
                let gone = TcpStream::connect("one:7000").await.unwrap_err();
                assert_eq!(gone.kind(), ErrorKind::ConnectionRefused);
                let stream = TcpStream::connect("two:7000").await.unwrap();
                stream.read_exact(&mut [0]).await.unwrap();
            }
        });
    }
}

wakeful_sim::test! {
    seeds = 50;
    fn a_signal_without_a_listener_ends_the_program_and_closes_its_connections(sim: &Hosts) {
        sim.host("server", echo);
        sim.at(secs(2), |sim| sim.signal("server", SignalKind::window_change()));
        sim.at(secs(3), |sim| sim.signal("server", SignalKind::terminate()));
        let starts = sim.clone();
        sim.client("client", move || {
            let sim = starts.clone();
            async move {
                sleep(secs(1)).await;
                let stream = TcpStream::connect("server:7000").await.unwrap();
                assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
                assert_eq!(sim.elapsed().as_secs(), 3);
                assert!(!sim.is_running("server"));
                let gone = TcpStream::connect("server:7000").await.unwrap_err();
                assert_eq!(gone.kind(), ErrorKind::ConnectionRefused);
            }
        });
    }
}

wakeful_sim::test! {
    seeds = 100;
    fn a_host_can_wake_a_task_of_another_one(sim: &Hosts) {
        let permits = Arc::new(Semaphore::new(0));
        let given = Arc::clone(&permits);
        sim.host("giver", move || run(async {
            for _ in 0..10 {
                sleep(secs(1)).await;
                given.add_permits(1);
            }
        }));
        sim.client("taker", move || {
            let permits = Arc::clone(&permits);
            async move {
                for _ in 0..10 {
                    permits.acquire().await.forget();
                }
            }
        });
        sim.end_by(secs(20));
    }
}

wakeful_sim::test! {
    seeds = 20;
    fn an_action_can_wake_a_task_of_a_host(sim: &Hosts) {
        let permits = Arc::new(Semaphore::new(0));
        let given = Arc::clone(&permits);
        sim.client("taker", move || {
            let permits = Arc::clone(&permits);
            async move { permits.acquire().await.forget() }
        });
        sim.at(secs(5), move |_| given.add_permits(1));
    }
}

wakeful_sim::test! {
    seeds = 50;
    fn a_closure_of_the_pool_runs_on_the_thread_of_its_host(sim: &Hosts) {
        for name in ["one", "two"] {
            sim.client(name, move || async move {
                let found = spawn_blocking(|| thread::current().name().map(str::to_owned));
                assert_eq!(found.await.unwrap().as_deref(), Some(name));
            });
        }
    }
}

/// A server and two clients, in the course of which all kinds of choices are made.
fn all_kinds(sim: &Hosts) {
    sim.host("server", echo);
    for name in ["one", "two"] {
        sim.client(name, async || {
            for _ in 0..5 {
                sleep(secs(1)).await;
                let asked = async {
                    let stream = TcpStream::connect("server:7000").await?;
                    stream.write_all(b"some bytes").await?;
                    stream.read_exact(&mut [0; 10]).await?;
                    std::io::Result::Ok(())
                };
                timeout(secs(1), asked).await.ok();
                spawn_blocking(|| ()).await.unwrap();
            }
        });
    }
    let crash = Duration::from_millis(2_000 + u64::from(sim.choose(20)));
    sim.between(crash, crash + secs(1), |sim| sim.crash("server"));
    sim.between(secs(4), secs(5), |sim| sim.partition("one", "server"));
    sim.clock("two", Duration::ZERO, 500);
}

#[test]
fn equal_seeds_give_equal_events_of_all_hosts() {
    let run = |seed| {
        let run = hosts::run_seed("test", seed, lossless(), all_kinds);
        assert!(run.panic.is_none(), "seed {seed}");
        (run.hash, run.tape)
    };
    let seen: HashSet<_> = (0..200)
        .map(|seed| {
            let (hash, tape) = run(seed);
            assert_eq!((hash, &tape), (run(seed).0, &run(seed).1), "seed {seed}");
            hash
        })
        .collect();
    assert_eq!(seen.len(), 200);
}

#[test]
fn a_check_after_each_step_does_not_change_the_steps() {
    for seed in 0..30 {
        let plain = hosts::run_seed("test", seed, lossless(), all_kinds);
        let checked = hosts::run_seed("test", seed, lossless(), |sim| {
            sim.always(|_| ());
            all_kinds(sim);
        });
        assert_eq!((plain.hash, plain.tape), (checked.hash, checked.tape));
    }
}

#[test]
fn a_host_that_always_has_work_does_not_keep_others_from_their_turns() {
    let seed = hosts::run_seed("test", 1, Options::new(), |_| ());
    assert!(seed.tape.is_empty(), "all choices of this tape are plain");
    let run = hosts::run_tape(seed.tape, Options::new(), |sim| {
        for name in ["busy", "busy-too"] {
            let clone = sim.clone();
            sim.host(name, move || {
                run(async {
                    loop {
                        assert!(clone.elapsed() < secs(1), "the client has no turns");
                        yield_now().await;
                    }
                });
            });
        }
        sim.client("client", async || {
            for _ in 0..10 {
                sleep(Duration::from_millis(1)).await;
                yield_now().await;
            }
        });
    });
    assert!(run.panic.is_none());
}

/// Fails if the second client is served first.
fn order_matters(sim: &Hosts) {
    sim.host("server", || {
        run(async {
            let listener = TcpListener::bind("0.0.0.0:7000").await.unwrap();
            let (_stream, peer) = listener.accept().await.unwrap();
            assert_eq!(peer.ip().to_string(), "10.0.0.2", "the first client");
        });
    });
    for name in ["first", "second"] {
        sim.client(name, async || {
            sleep(secs(1)).await;
            drop(TcpStream::connect("server:7000").await);
        });
    }
}

#[test]
fn a_tape_repeats_the_turns_of_hosts_and_is_shrunk_to_those_that_matter() {
    let mut runs = (0..100).map(|seed| hosts::run_seed("test", seed, lossless(), order_matters));
    let failed = runs.find(|run| run.panic.is_some()).expect("one fails");
    let again = hosts::run_tape(failed.tape.clone(), lossless(), order_matters);
    assert_eq!((again.hash, &again.place), (failed.hash, &failed.place));
    let shrunk = hosts::shrink_tape(failed.tape.clone(), lossless(), order_matters);
    assert!(shrunk.len() <= 2, "{shrunk}");
    let again = hosts::run_tape(shrunk.clone(), lossless(), order_matters);
    assert_eq!((&again.place, &again.tape), (&failed.place, &shrunk));
    let plain = shrunk.to_string();
    let plain: String = plain
        .lines()
        .take(3)
        .map(|line| format!("{line}\n"))
        .collect();
    let run = hosts::run_tape(plain.parse().unwrap(), lossless(), order_matters);
    assert!(run.panic.is_none(), "the plain run is good");
}

#[test]
fn an_hour_of_three_hosts_takes_few_turns() {
    let steps = Arc::new(AtomicU32::new(0));
    let run = hosts::run_seed("test", 1, lossless(), |sim| {
        let counted = Arc::clone(&steps);
        sim.host("server", echo);
        for name in ["one", "two"] {
            sim.client(name, async || {
                for _ in 0..60 {
                    sleep(secs(60)).await;
                    ask("server:7000", b"one minute").await;
                }
            });
        }
        sim.always(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert!(run.panic.is_none());
    let steps = steps.load(Ordering::Relaxed);
    assert!((1_000..20_000).contains(&steps), "{steps}");
}

wakeful_sim::test! {
    seeds = 1;
    #[should_panic(expected = "a check of the test")]
    fn a_check_is_made_after_each_step(sim: &Hosts) {
        sim.host("server", echo);
        sim.client("client", async || {
            sleep(secs(1)).await;
            // It is open within one turn of this host, and for some steps.
            ask("server:7000", b"?").await;
            sleep(secs(1)).await;
        });
        sim.always(|sim| assert_eq!(sim.open_sockets("client"), 0, "a check of the test"));
    }
}

wakeful_sim::test! {
    seeds = 1;
    #[should_panic(expected = "there is no host `serve`, only `server`")]
    fn a_name_without_a_host_is_an_error_that_lists_the_names(sim: &Hosts) {
        sim.host("server", echo);
        sim.crash("serve");
    }
}

wakeful_sim::test! {
    seeds = 1;
    #[should_panic(expected = "a host cannot have the name `two words`")]
    fn a_name_that_a_tape_cannot_have_is_refused(sim: &Hosts) {
        sim.host("two words", echo);
    }
}

/// Wakes the task that calls this, from a thread that ends before it returns.
async fn wake_by_a_thread() {
    poll_fn(|cx| {
        let waker = cx.waker().clone();
        thread::spawn(move || waker.wake()).join().unwrap();
        Poll::Ready(())
    })
    .await;
}

/// Returns the messages with which runs fail, each once.
fn failures(setup: impl Fn(&Hosts)) -> BTreeSet<String> {
    let options = Options::new().faults(Faults::none());
    let run = |seed| {
        let run = hosts::run_seed("test", seed, options, &setup);
        let panic = run.panic.expect("the run has not failed");
        panic.downcast_ref::<String>().unwrap().clone()
    };
    (0..5).map(run).collect()
}

#[test]
fn a_thread_that_has_woken_a_task_before_the_program_ended_fails_the_run() {
    let found = failures(|sim| {
        sim.client("client", async || {
            sleep(secs(1)).await;
            wake_by_a_thread().await;
        });
    });
    let text = "host `client`: a thread without a name, which is no part of the simulation, has woken, aborted or \
         detached the root future: when";
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found.first().unwrap().starts_with(text), "{found:?}");
}

/// Where a waker is.
type Place = Arc<Mutex<Option<Waker>>>;

/// Leaves the waker at a place, and stays pending.
async fn wait_at(place: Place) {
    poll_fn(|cx| {
        *place.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    })
    .await
}

/// A server that waits for a thread, and a client that has this thread wake it. Then the client ends, or waits as well.
fn server_and_thread(sim: &Hosts, waits: bool) {
    let place = Place::default();
    let of_server = Arc::clone(&place);
    sim.host("server", move || {
        let wait = wait_at(Arc::clone(&of_server));
        run(async {
            let task = task::Builder::new().name("waits").spawn(wait);
            task.unwrap().await.unwrap();
        });
    });
    sim.client("client", move || {
        let place = Arc::clone(&place);
        async move {
            sleep(secs(1)).await;
            let waker = place.lock().unwrap().take();
            thread::spawn(move || waker.unwrap().wake()).join().unwrap();
            if waits {
                wait_at(place).await;
            }
        }
    });
}

#[test]
fn a_thread_that_wakes_a_host_that_waits_fails_the_run_also_at_its_end() {
    for waits in [false, true] {
        let found = failures(|sim| server_and_thread(sim, waits));
        let text = "host `server` panicked: a thread without a name, which is no part of the simulation, has woken, \
             aborted or detached task 1.0 \"waits\" (spawned at extras/sim/tests/hosts.rs:";
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found.first().unwrap().starts_with(text), "{found:?}");
    }
}
