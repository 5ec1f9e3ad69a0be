//! Worlds around code that builds its own runtimes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use wakeful::task::yield_now;
use wakeful::time::{Instant, sleep};
use wakeful_net::{TcpListener, TcpStream};
use wakeful_sim::{Faults, Options, enter};

const SEEDS: u64 = 50;

fn options(faults: Faults) -> Options {
    Options::new().faults(faults)
}

/// Runs three tasks, and returns the order in which they were polled.
fn order_of_tasks() -> Vec<u32> {
    let order = Rc::new(RefCell::new(Vec::new()));
    wakeful::block_on(async {
        let tasks = [1, 2, 3].map(|number| {
            let order = Rc::clone(&order);
            wakeful::spawn(async move { order.borrow_mut().push(number) })
        });
        for task in tasks {
            task.await.unwrap();
        }
    });
    order.take()
}

/// Lets bytes arrive at three connections before the tasks that wait for them look, and returns the order in which
/// these were woken.
fn order_of_events() -> Vec<u32> {
    let order = Rc::new(RefCell::new(Vec::new()));
    wakeful::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peers = Vec::new();
        for number in [1, 2, 3] {
            let client = TcpStream::connect(listener.local_addr().unwrap());
            peers.push(client.await.unwrap());
            let (server, _) = listener.accept().await.unwrap();
            let order = Rc::clone(&order);
            wakeful::spawn(async move {
                server.readable().await.unwrap();
                order.borrow_mut().push(number);
            });
        }
        sleep(Duration::from_millis(1)).await;
        for peer in &peers {
            assert_eq!(peer.try_write(b"x").unwrap(), 1);
        }
        sleep(Duration::from_millis(1)).await;
    });
    order.take()
}

#[test]
fn runtimes_that_a_thread_builds_are_of_its_world_until_the_guard_is_dropped() {
    let world = enter("test", 1, options(Faults::lossless()));
    assert_eq!((world.choices(), world.hash()), (0, 0));
    let (listener, address) = wakeful::block_on(async {
        let began = Instant::now();
        sleep(Duration::from_secs(3_600)).await;
        assert!(began.elapsed() >= Duration::from_secs(3_600));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    });
    // The network is that of all runtimes.
    wakeful::block_on(async {
        let taken = TcpListener::bind(address).await;
        assert!(taken.is_err(), "another runtime has the address");
    });
    assert!(std::net::TcpStream::connect(address).is_err());
    assert_ne!(world.hash(), 0);
    drop((listener, world));
    let real = wakeful::block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = wakeful::block_on(async { real.local_addr() }).unwrap();
    assert!(std::net::TcpStream::connect(address).is_ok());
}

#[test]
fn on_loopback_what_is_sent_has_arrived_when_the_call_returns() {
    for seed in 0..SEEDS {
        let _world = enter("test", seed, options(Faults::loopback()));
        wakeful::block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap());
            let client = client.await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            let began = Instant::now();
            client.write_all(b"whole").await.unwrap();
            server.readable().await.unwrap();
            let mut got = [0; 9];
            assert_eq!(server.try_read(&mut got).unwrap(), 5);
            drop(client);
            yield_now().await;
            assert_eq!(server.try_read(&mut got).unwrap(), 0);
            assert!(began.elapsed() < Duration::from_micros(20));
        });
    }
}

#[test]
fn tasks_and_events_come_in_order_only_if_it_is_asked_for() {
    let run = |faults: Faults, once: fn() -> Vec<u32>| -> BTreeSet<Vec<u32>> {
        let order = |seed| {
            let _world = enter("test", seed, options(faults));
            once()
        };
        (0..SEEDS).map(order).collect()
    };
    let plain = BTreeSet::from([vec![1, 2, 3]]);
    for once in [order_of_tasks, order_of_events] {
        assert_eq!(run(Faults::loopback().in_order(), once), plain);
        assert!(run(Faults::loopback(), once).len() > 1);
    }
    assert_eq!(run(Faults::lossless().in_order(), order_of_tasks), plain);
}

/// Wakes the root future from another thread, which ends before the next poll.
async fn wake_by_a_thread() {
    let mut was_woken = false;
    poll_fn(|cx| {
        if was_woken {
            return Poll::Ready(());
        }
        was_woken = true;
        let waker = cx.waker().clone();
        thread::spawn(move || waker.wake()).join().unwrap();
        Poll::Pending
    })
    .await;
}

#[test]
fn a_world_tells_whether_another_thread_took_part() {
    let world = enter("test", 1, options(Faults::lossless()));
    wakeful::block_on(async {
        let own = thread::spawn(|| wakeful::block_on(yield_now()));
        sleep(Duration::from_secs(1)).await;
        own.join().unwrap();
    });
    assert!(
        !world.is_reached_from_outside(),
        "a runtime of another thread is no part of it"
    );
    wakeful::block_on(wake_by_a_thread());
    assert!(world.is_reached_from_outside());
}
