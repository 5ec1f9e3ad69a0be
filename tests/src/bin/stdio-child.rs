//! The child process of the tests of standard input and output (`tests/stdio.rs`). The argument is
//! the name of what it does.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use futures_lite::io::{AsyncBufReadExt, BufReader};
use futures_lite::{AsyncWriteExt, StreamExt, future};
use wakeful::io::{stderr, stdin, stdout};
use wakeful::runtime::{Builder, Runtime};
use wakeful::task::yield_now;
use wakeful_tests::net_support::run;
use wakeful_tests::trace::{Wakes, poll_with, text_of};

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    match &*name {
        "copy" => run(copy()),
        "copy-nonblocking" => {
            rustix::io::ioctl_fionbio(io::stdin(), true).unwrap();
            rustix::io::ioctl_fionbio(io::stdout(), true).unwrap();
            // Smaller than one write, which would block therefore.
            rustix::pipe::fcntl_setpipe_size(io::stdout(), 4096).unwrap();
            run(copy());
        }
        "lines" => run(lines()),
        "canceled-read" => run(canceled_read()),
        "canceled-read-nonblocking" => {
            rustix::io::ioctl_fionbio(io::stdin(), true).unwrap();
            run(canceled_read());
        }
        "debug-while-reading" => run(debug_while_reading()),
        "abandoned-reads" => run(abandoned_reads()),
        "next-runtime" => next_runtime(),
        "unstarted-write" => unstarted_write(),
        "blocked-read" => run(start_reading()),
        "broken-output" => run(broken_output()),
        "broken-flush" => run(broken_flush()),
        "order" => run(order()),
        "many-writers" => run(many_writers()),
        "mixed" => run(mixed()),
        "errors" => run(async { stderr().write_all(b"to stderr\n").await.unwrap() }),
        "paused" => paused(),
        "two-runtimes" => two_runtimes(false),
        "two-runtimes-paused" => two_runtimes(true),
        "outside" => drop(future::block_on(stdin().read(&mut [0]))),
        "no-thread" => run(no_thread()),
        "directory" => run(async { report(stdin().read(&mut [0]).await.map(drop)).await }),
        name => {
            eprintln!("unknown test: {name:?}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Copies everything, through the traits.
async fn copy() {
    let copied = wakeful::io::copy(&mut stdin(), &mut stdout())
        .await
        .unwrap();
    let line = format!("{copied} bytes\n");
    stderr().write_all(line.as_bytes()).await.unwrap();
}

/// Another runtime has the thread that reads, and each gets a byte. The one here would end as a probable deadlock,
/// or with a clock that has jumped, if it did not know that thread.
fn two_runtimes(paused: bool) {
    let limit = Duration::from_millis(1);
    let builder = Builder::new().start_paused(paused).count_wakers(true);
    let here = builder.deadlock_after(limit).build().unwrap();
    let (begin, begun) = std::sync::mpsc::channel();
    let other = std::thread::spawn(move || {
        run(async {
            let mut buffer = [0];
            let mut read = Box::pin(async { stdin().read(&mut buffer).await });
            assert!(future::poll_once(&mut read).await.is_none());
            begin.send(()).unwrap();
            assert_eq!(read.await.unwrap(), 1);
        });
    });
    begun.recv().unwrap();
    // When two others have been found to be in a deadlock, this one would have been found as well.
    std::thread::spawn(move || {
        for _ in 0..2 {
            let builder = Builder::new().deadlock_after(limit).build();
            let stuck = || builder.unwrap().block_on(future::pending::<()>());
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(stuck));
            assert!(text_of(&*ended.unwrap_err()).starts_with("probably a deadlock"));
        }
        println!("now");
    });
    here.block_on(async {
        let mut buffer = [0];
        let read = async { stdin().read(&mut buffer).await.unwrap() };
        let timer = async {
            wakeful::time::sleep(Duration::from_secs(60)).await;
            panic!("the clock has jumped");
        };
        // With a timer there is no deadlock.
        let bytes = match paused {
            true => future::or(read, timer).await,
            false => read.await,
        };
        assert_eq!(bytes, 1);
    });
    other.join().unwrap();
    println!("ended");
}

/// Reads some bytes, starts another read, and formats `Stdin` until the thread has certainly begun.
async fn debug_while_reading() {
    assert_eq!(stdin().read(&mut [0; 8]).await.unwrap(), 5);
    let mut buffer = [0; 8];
    let mut next = Box::pin(async { stdin().read(&mut buffer).await });
    assert!(future::poll_once(&mut next).await.is_none());
    let mut text = String::new();
    for _ in 0..10_000 {
        text = format!("{:?}", stdin());
        std::thread::yield_now();
    }
    println!("{text}");
    assert_eq!(next.await.unwrap(), 0);
}

/// Answers each line at once, as a program on a terminal does.
async fn lines() {
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next().await {
        let answer = format!("[{}]\n", line.unwrap());
        stdout().write_all(answer.as_bytes()).await.unwrap();
    }
    stdout().write_all(b"end\n").await.unwrap();
}

/// Polls a read once and drops it.
async fn start_reading() {
    let stdin = stdin();
    let read = async { stdin.read(&mut [0; 100]).await.unwrap() };
    let not_yet = async {
        yield_now().await;
        0
    };
    assert_eq!(future::or(read, not_yet).await, 0);
}

async fn read_all() -> Vec<u8> {
    let mut received = Vec::new();
    let mut buffer = [0; 3];
    loop {
        match stdin().read(&mut buffer).await.unwrap() {
            0 => return received,
            n => received.extend_from_slice(&buffer[..n]),
        }
    }
}

async fn canceled_read() {
    for _ in 0..3 {
        start_reading().await;
    }
    stdout().write_all(b"canceled\n").await.unwrap();
    stdout().write_all(&read_all().await).await.unwrap();
}

async fn abandoned_reads() {
    for _ in 0..100 {
        wakeful::spawn(start_reading()).await.unwrap();
    }
    let state = format!("{:?}\n", stdin());
    stdout().write_all(state.as_bytes()).await.unwrap();
}

fn next_runtime() {
    run(start_reading());
    run(canceled_read());
}

/// The first runtime has one thread, which reads. So its write never starts.
fn unstarted_write() {
    let first = Builder::new().max_blocking_threads(1).build().unwrap();
    first.block_on(async {
        start_reading().await;
        assert_eq!(stdout().write(b"first ").await.unwrap(), 6);
    });
    drop(first);
    Runtime::new().unwrap().block_on(async {
        stdout().flush().await.unwrap();
        stdout().write_all(b"second\n").await.unwrap();
    });
}

/// Waits until the parent has closed the other end of stdout, and writes.
async fn broken_output() {
    read_all().await;
    report(stdout().write_all(b"lost").await).await;
    report(stdout().write_all(b"lost again").await).await;
    report(stdout().flush().await).await;
}

async fn broken_flush() {
    read_all().await;
    report(AsyncWriteExt::write_all(&mut stdout(), b"lost").await).await;
    report(AsyncWriteExt::flush(&mut stdout()).await).await;
    report(AsyncWriteExt::flush(&mut stdout()).await).await;
}

/// Makes the system refuse a thread, because there is no memory for its stack.
async fn no_thread() {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    let limit = |maximum| rustix::process::Rlimit {
        current: maximum,
        maximum: None,
    };
    let set = |limit| rustix::process::setrlimit(rustix::process::Resource::As, limit).unwrap();
    let mut buffer = [0; 8];
    let mut errors = Vec::new();
    set(limit(Some(pages * 4096 + 1024 * 1024)));
    errors.push(stdin().read(&mut buffer).await.map(drop));
    errors.push(stdout().write_all(b"lost\n").await);
    errors.push(stdout().write(b"lost\n").await.map(drop));
    set(limit(None));
    // Nothing is left behind.
    let n = stdin().read(&mut buffer).await.unwrap();
    stdout().write_all(&buffer[..n]).await.unwrap();
    stdout().flush().await.unwrap();
    for error in errors {
        report(error).await;
    }
}

async fn report(result: io::Result<()>) {
    let line = match result {
        Ok(()) => "ok\n".to_owned(),
        Err(error) => format!("{:?}: {error}\n", error.kind()),
    };
    stderr().write_all(line.as_bytes()).await.unwrap();
}

/// Lines of three tasks, some of them queued and others written at once. The queue never fills, so no
/// line is split.
async fn order() {
    let mut tasks = wakeful::task::JoinSet::new();
    for task in 0..3 {
        tasks.spawn(async move {
            for number in 0..3_000 {
                let line = format!("{task} {number}\n");
                match number % 3 {
                    0 => stdout().write_all(line.as_bytes()).await.unwrap(),
                    _ if task > 0 => stdout().write_all(line.as_bytes()).await.unwrap(),
                    _ => AsyncWriteExt::write_all(&mut stdout(), line.as_bytes())
                        .await
                        .unwrap(),
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    stdout().flush().await.unwrap();
}

/// Writes that wait under one task, each with a waker of its own, as in `FuturesUnordered`. Those that
/// are not woken are not polled again.
async fn many_writers() {
    let wait = |_| {
        let write = Box::pin(async { stdout().write_all(&[b'x'; 2_000]).await });
        (write, Wakes::new(), None)
    };
    let mut waits: Vec<_> = (0..100).map(wait).collect();
    for _ in 0..100 {
        for (write, wakes, polled) in &mut waits {
            if *polled != Some(wakes.count()) {
                *polled = Some(wakes.count());
                drop(poll_with(write, &wakes.waker()));
            }
        }
        stdout().flush().await.unwrap();
    }
    let waiting = waits.iter().filter(|(_, wakes, _)| wakes.alive() > 0);
    let line = format!("{} of 100 wait\n", waiting.count());
    stderr().write_all(line.as_bytes()).await.unwrap();
}

async fn mixed() {
    print!("from std, ");
    stdout().write_all(b"from wakeful, ").await.unwrap();
    println!("from std");
}

/// A paused clock waits for input.
fn paused() {
    let runtime = Builder::new().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let minute = Duration::from_secs(60);
        let stdin = stdin();
        let mut buffer = [0; 100];
        let n = wakeful::time::timeout(minute, stdin.read(&mut buffer)).await;
        stdout()
            .write_all(&buffer[..n.unwrap().unwrap()])
            .await
            .unwrap();
    });
}
