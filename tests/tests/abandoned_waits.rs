//! Waits that are dropped on another thread or abandoned after one poll: the runtime removes them,
//! and they do not stop a paused clock.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::{Future, poll_fn};
use std::io::Write;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread;

use wakeful::runtime::{Builder, Handle};
use wakeful::signal::unix::{SignalKind, signal};
use wakeful::task::spawn_blocking;
use wakeful::time::{Instant, sleep};
use wakeful::{metrics, spawn};
use wakeful_net::{TcpListener, TcpStream, UdpSocket, lookup_host};
use wakeful_tests::trace::{
    Trace, Wakes, alone, my_waker, paused, poll_once, poll_with, runtime, secs, settle,
};
use wakeful_tests::waits::{full_source, source, yield_until};

// --- waits dropped on another thread ----------------------------------------------------------------

#[test]
fn waits_dropped_on_another_thread_are_removed() {
    const WAITS: usize = 1_000;
    let runtime = runtime();
    let (fd, _there) = runtime.block_on(source());
    runtime.block_on(async {
        let wakes = Wakes::new();
        thread::scope(|scope| {
            let (send, receive) = mpsc::channel();
            scope.spawn(move || receive.into_iter().for_each(drop));
            for _ in 0..WAITS {
                let mut wait = fd.readable();
                assert!(poll_with(&mut wait, &wakes.waker()).is_pending());
                send.send(wait).unwrap();
            }
        });
        // One message per wait; 61 are handled between two turns.
        yield_until(WAITS / 61 + 2, || metrics().waiting == 0).await;
        assert_eq!((metrics().waiting, wakes.alive()), (0, 0));
    });
}

#[test]
fn a_wait_dropped_while_another_runtime_is_entered_is_removed_after_one_turn() {
    let other = runtime();
    runtime().block_on(async {
        let (fd, _there) = source().await;
        let wakes = Wakes::new();
        let mut wait = fd.readable();
        assert!(poll_with(&mut wait, &wakes.waker()).is_pending());
        {
            let _entered = other.enter();
            drop(wait);
        }
        settle().await;
        assert_eq!((metrics().waiting, wakes.alive()), (0, 0));
    });
}

#[test]
fn a_signal_dropped_on_another_thread_is_removed_after_one_turn() {
    alone(|| {
        runtime().block_on(async {
            let wakes = Wakes::new();
            let mut listener = signal(SignalKind::user_defined1()).unwrap();
            assert!(poll_with(&mut listener.recv(), &wakes.waker()).is_pending());
            thread::spawn(move || drop(listener)).join().unwrap();
            settle().await;
            assert_eq!((metrics().waiting, wakes.alive()), (0, 0));
        });
    });
}

// --- abandoned waits and a paused clock -------------------------------------------------------------

/// Asserts that a paused clock moves while nothing waits for a descriptor.
async fn the_clock_moves() {
    let waker = my_waker().await;
    let (polled, polls) = mpsc::channel();
    // Causes another poll after each one, so that the test does not hang if the clock stands still.
    let again = thread::spawn(move || polls.iter().for_each(|()| waker.wake_by_ref()));
    let (before, mut timer, mut times) = (Instant::now(), sleep(secs(1)), 0);
    poll_fn(|cx| {
        let fired = Pin::new(&mut timer).poll(cx);
        if fired.is_pending() {
            times += 1;
            assert!(times <= 1_000, "the clock stands still");
            polled.send(()).unwrap();
        }
        fired
    })
    .await;
    assert_eq!(before.elapsed(), secs(1));
    drop(polled);
    again.join().unwrap();
}

/// Polls once without a wait for the result.
async fn poll_and_abandon<R>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>) {
    poll_fn(|cx| {
        assert!(poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[test]
fn a_paused_clock_moves_after_polls_of_descriptors_that_were_abandoned() {
    paused().block_on(async {
        let (fd, _there, _) = full_source().await;
        poll_and_abandon(|cx| fd.poll_read_ready(cx)).await;
        the_clock_moves().await;
        poll_and_abandon(|cx| fd.poll_write_ready(cx)).await;
        the_clock_moves().await;
    });
}

#[test]
fn a_paused_clock_moves_after_polls_of_sockets_that_were_abandoned() {
    paused().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        poll_and_abandon(|cx| listener.poll_accept(cx)).await;
        the_clock_moves().await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        poll_and_abandon(|cx| socket.poll_recv(cx, &mut [0; 8])).await;
        the_clock_moves().await;
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
        poll_and_abandon(|cx| stream.as_ref().unwrap().poll_peek(cx, &mut [0; 8])).await;
        the_clock_moves().await;
    });
}

#[test]
fn a_paused_clock_moves_after_a_task_that_had_polled_is_finished() {
    paused().block_on(async {
        let (fd, _there) = source().await;
        let fd = Rc::new(fd);
        let task = spawn({
            let fd = Rc::clone(&fd);
            async move { poll_and_abandon(|cx| fd.poll_read_ready(cx)).await }
        });
        settle().await;
        assert!(task.is_finished());
        the_clock_moves().await;
        task.await.unwrap();
        the_clock_moves().await;
        let aborted = spawn({
            let fd = Rc::clone(&fd);
            poll_fn(move |cx| fd.poll_read_ready(cx).map(drop))
        });
        settle().await;
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_cancelled());
        the_clock_moves().await;
    });
}

#[test]
fn a_paused_clock_moves_after_a_receive_of_a_signal_was_dropped() {
    alone(|| {
        paused().block_on(async {
            let mut listener = signal(SignalKind::user_defined1()).unwrap();
            assert!(poll_once(&mut listener.recv()).await.is_pending());
            the_clock_moves().await;
        });
    });
}

/// The only thread of the pool is busy, so the lookups are not begun.
#[test]
fn a_paused_clock_moves_after_lookups_that_were_dropped() {
    let pool = Builder::new().max_blocking_threads(1);
    let runtime = pool.start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (release, released) = mpsc::channel::<()>();
        spawn_blocking(move || released.recv().ok()).abort();
        let mut lookup = lookup_host("localhost:80");
        assert!(poll_once(&mut lookup).await.is_pending());
        drop(lookup);
        let mut connect = Box::pin(TcpStream::connect("localhost:80"));
        assert!(poll_once(&mut connect).await.is_pending());
        drop(connect);
        settle().await;
        assert_eq!(metrics().num_alive_tasks, 0, "no task waits for a lookup");
        sleep(secs(3600)).await;
        drop(release);
    });
}

#[test]
fn a_paused_clock_moves_after_waits_that_were_dropped_on_another_thread() {
    paused().block_on(async {
        let (fd, _there) = source().await;
        let mut wait = fd.readable();
        assert!(poll_once(&mut wait).await.is_pending());
        thread::scope(|scope| {
            scope.spawn(move || drop(wait));
        });
        the_clock_moves().await;
    });
}

#[test]
fn a_paused_clock_stands_still_while_a_task_waits_for_a_descriptor() {
    // A poll that was abandoned does not stop the clock; a wait in progress does.
    let trace = Trace::new();
    paused().block_on(async {
        let (fd, mut there) = source().await;
        let fd = Rc::new(fd);
        poll_and_abandon(|cx| fd.poll_read_ready(cx)).await;
        let reader = spawn({
            let (fd, trace) = (Rc::clone(&fd), trace.clone());
            async move {
                poll_fn(|cx| fd.poll_read_ready(cx).map(drop)).await;
                trace.push("input");
            }
        });
        let timer = spawn({
            let trace = trace.clone();
            async move {
                sleep(secs(1)).await;
                trace.push("timer");
            }
        });
        settle().await;
        let handle = Handle::current();
        let writer = thread::spawn(move || {
            // The runtime parks between these tasks, and looks for waits each time.
            for _ in 0..100 {
                handle.spawn(|| async {}).wait().unwrap();
            }
            there.write_all(b"x").unwrap();
            there
        });
        reader.await.unwrap();
        timer.await.unwrap();
        drop(writer.join().unwrap());
    });
    trace.expect(&["input", "timer"]);
}
