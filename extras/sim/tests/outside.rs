//! Real descriptors and threads beside the simulation, if they are allowed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Command;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::time::Duration;
use std::{io, net, thread};

use wakeful::io::AsyncFd;
use wakeful::signal::unix::{SignalKind, signal};
use wakeful::time::{Instant, sleep, timeout};
use wakeful_net::{TcpListener, TcpStream, UnixStream};
use wakeful_sim::{Faults, Options, Sim, enter, run_seed};

const HOUR: Duration = Duration::from_secs(3_600);

fn allowed() -> Options {
    Options::new()
        .faults(Faults::lossless())
        .allow_outside(true)
}

/// Sends a message to a task through simulated sockets and through a real one, and each comes back.
async fn both_networks(real: StdUnixStream) {
    real.set_nonblocking(true).unwrap();
    let real = UnixStream::from_std(real).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let echo = wakeful::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut got = [0; 5];
        stream.read_exact(&mut got).await.unwrap();
        stream.write_all(&got).await.unwrap();
    });
    let stream = TcpStream::connect(address).await.unwrap();
    let mut got = [0; 5];
    for _ in 0..3 {
        real.write_all(b"hello").await.unwrap();
        real.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"hello");
    }
    stream.write_all(b"world").await.unwrap();
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"world");
    echo.await.unwrap();
}

/// Returns a real socket whose peer is a thread that sends back what it receives.
fn echoing_thread() -> StdUnixStream {
    let (near, mut far) = StdUnixStream::pair().unwrap();
    thread::spawn(move || {
        let mut buf = [0; 64];
        while let Ok(count @ 1..) = far.read(&mut buf) {
            far.write_all(&buf[..count]).unwrap();
        }
    });
    near
}

#[test]
fn real_sockets_and_simulated_ones_work_side_by_side() {
    for seed in 0..20 {
        let run = run_seed("test", seed, allowed(), |_| both_networks(echoing_thread()));
        assert!(run.panic.is_none(), "seed {seed}");
    }
    let world = enter("test", 1, allowed());
    wakeful::block_on(both_networks(echoing_thread()));
    assert!(world.is_reached_from_outside());
}

#[test]
fn real_descriptors_are_refused_unless_they_are_allowed() {
    let run = run_seed("test", 1, Options::new(), |_| async {
        let error = UnixStream::from_std(echoing_thread()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    });
    assert!(run.panic.is_none());
}

/// Waits until a pipe can be read.
async fn readable(pipe: &AsyncFd<io::PipeReader>) {
    pipe.readable().await.unwrap().clear_ready();
}

#[test]
fn time_does_not_jump_while_a_real_descriptor_is_registered_and_does_after_it() {
    let run = run_seed("test", 1, allowed(), |_: Sim| async {
        let (reader, mut writer) = io::pipe().unwrap();
        let (begin, begun) = mpsc::channel();
        let thread = thread::spawn(move || {
            begun.recv().unwrap();
            writer.write_all(b"x").unwrap();
        });
        let pipe = AsyncFd::new(reader).unwrap();
        let wait = async {
            begin.send(()).unwrap();
            readable(&pipe).await;
        };
        let began = Instant::now();
        timeout(HOUR, wait).await.unwrap();
        assert!(began.elapsed() < HOUR);
        thread.join().unwrap();
        drop(pipe);
        sleep(HOUR).await;
        assert!(began.elapsed() >= HOUR);
    });
    assert!(run.panic.is_none());
}

#[test]
fn time_passes_for_timers_while_a_real_descriptor_is_registered() {
    let run = run_seed("test", 1, allowed(), |_: Sim| async {
        let (reader, _writer) = io::pipe().unwrap();
        let pipe = AsyncFd::new(reader).unwrap();
        let limit = Duration::from_millis(20);
        let began = (Instant::now(), std::time::Instant::now());
        timeout(limit, readable(&pipe)).await.unwrap_err();
        assert!(began.0.elapsed() >= limit && began.1.elapsed() >= limit);
    });
    assert!(run.panic.is_none());
}

#[test]
fn a_real_signal_is_received() {
    let run = run_seed("test", 1, allowed(), |_: Sim| async {
        let mut signals = signal(SignalKind::user_defined2()).unwrap();
        let kill = format!("kill -USR2 {}", std::process::id());
        let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(sent.success());
        timeout(HOUR, signals.recv()).await.unwrap();
    });
    assert!(run.panic.is_none());
}

#[test]
fn a_thread_can_wake_a_task_when_nothing_else_can() {
    let run = run_seed("test", 1, allowed(), |_: Sim| async {
        // While a descriptor is registered, each turn asks the simulation for events.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (send, wakers) = mpsc::channel::<Waker>();
        let thread = thread::spawn(move || wakers.iter().for_each(Waker::wake));
        // The runtime waits already when some of the wakes come.
        for _ in 0..500 {
            let mut was_sent = false;
            poll_fn(|cx| {
                if was_sent {
                    return Poll::Ready(());
                }
                was_sent = true;
                send.send(cx.waker().clone()).unwrap();
                Poll::Pending
            })
            .await;
        }
        drop((send, listener));
        thread.join().unwrap();
    });
    assert!(run.panic.is_none());
}

#[test]
fn a_socket_of_std_does_not_find_a_simulated_listener() {
    let run = run_seed("test", 1, allowed(), |_: Sim| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let error = net::TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
    assert!(run.panic.is_none());
}

wakeful_sim::test! {
    seeds = 17;
    faults = Faults::lossless();
    allow_outside = true;
    /// Its events follow from no seed, which is no failure.
    async fn a_run_with_a_real_descriptor_is_not_compared(_sim: Sim) {
        both_networks(echoing_thread()).await;
        sleep(Duration::from_nanos(std::process::id().into())).await;
        let slept = std::time::Instant::now();
        TcpListener::bind("127.0.0.1:0").await.unwrap();
        sleep(slept.elapsed()).await;
    }
}
