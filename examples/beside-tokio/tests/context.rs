//! What works on Wakeful's thread in a context of tokio, what runs on tokio's thread, and what does not
//! work. The table in docs/CRATES.md says the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::time::DelayQueue;
use tower::{Service, ServiceBuilder, ServiceExt};
use wakeful_net::{TcpListener, TcpStream};

/// Time limit of a test, on Wakeful's clock.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A time that passes soon.
const SOON: Duration = Duration::from_millis(5);

/// Runs a future on Wakeful, in a context of tokio.
fn run<F: Future>(future: F) -> F::Output {
    let tokio = wakeful_beside_tokio::tokio().unwrap();
    let _context = tokio.enter();
    wakeful::block_on(async { wakeful::time::timeout(TIMEOUT, future).await.unwrap() })
}

/// Returns the panic message of a future that is run on Wakeful.
fn panic_of<F: Future<Output = ()>>(future: F) -> String {
    let run = AssertUnwindSafe(|| wakeful::block_on(future));
    let payload = catch_unwind(run).unwrap_err();
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().unwrap()).to_owned(),
    }
}

#[test]
fn timers_of_both_run_side_by_side() {
    run(async {
        let this_thread = thread::current().id();
        tokio::time::sleep(SOON).await;
        wakeful::time::sleep(SOON).await;
        let late = tokio::time::timeout(SOON, std::future::pending::<()>());
        assert!(late.await.is_err());
        let mut queue = DelayQueue::new();
        queue.insert("b", 2 * SOON);
        queue.insert("a", SOON);
        let first = poll_fn(|cx| queue.poll_expired(cx)).await.unwrap();
        assert_eq!(first.into_inner(), "a");
        // The futures were polled by Wakeful.
        assert_eq!(thread::current().id(), this_thread);
    });
}

#[test]
fn sockets_of_both_exchange_bytes_in_one_task_that_is_not_send() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let not_send = Rc::new(());
        let client = wakeful::spawn(async move {
            let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
            client.write_all(b"hello").await.unwrap();
            let mut answer = [0; 5];
            client.read_exact(&mut answer).await.unwrap();
            drop(not_send);
            answer
        });
        let (server, _) = listener.accept().await.unwrap();
        let mut received = [0; 5];
        server.read_exact(&mut received).await.unwrap();
        server.write_all(&received).await.unwrap();
        assert_eq!(&client.await.unwrap(), b"hello");
    });
}

#[test]
fn files_processes_and_blocking_closures_of_tokio_work() {
    run(async {
        let name = tokio::fs::read_to_string("/proc/self/comm").await.unwrap();
        assert!(!name.is_empty());
        let output = tokio::process::Command::new("echo").arg("hello").output();
        assert_eq!(output.await.unwrap().stdout, b"hello\n");
        assert_eq!(tokio::task::spawn_blocking(|| 7).await.unwrap(), 7);
    });
}

#[test]
fn layers_of_tower_with_timers_or_tasks_work() {
    run(async {
        let service = tower::service_fn(async |n: u32| Ok::<_, Infallible>(n + 1));
        let service = ServiceBuilder::new()
            .buffer(4)
            .rate_limit(1, SOON)
            .service(service);
        for n in 0..3 {
            let mut service = service.clone();
            let answer = service.ready().await.unwrap().call(n).await.unwrap();
            assert_eq!(answer, n + 1);
        }
    });
}

#[test]
fn tasks_of_tokio_run_on_its_own_thread() {
    run(async {
        let this_thread = thread::current().id();
        let other = tokio::spawn(async { thread::current().id() })
            .await
            .unwrap();
        assert_ne!(other, this_thread);
        let tracker = tokio_util::task::TaskTracker::new();
        let other = tracker
            .spawn(async { thread::current().id() })
            .await
            .unwrap();
        assert_ne!(other, this_thread);
    });
}

#[test]
fn axum_serve_runs_its_handlers_on_the_thread_of_tokio() {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let thread_name = async || format!("{:?}", thread::current().id());
        let router = Router::new().route("/", get(thread_name));
        wakeful::spawn(async { axum::serve(listener, router).await });
        let client = TcpStream::connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        client.write_all(request).await.unwrap();
        let mut response = Vec::new();
        let mut buf = [0; 1024];
        loop {
            match client.read(&mut buf).await.unwrap() {
                0 => break,
                n => response.extend(&buf[..n]),
            }
        }
        let response = String::from_utf8(response).unwrap();
        assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
        let this_thread = format!("{:?}", thread::current().id());
        assert!(!response.ends_with(&this_thread), "{response}");
        assert!(response.contains("ThreadId"), "{response}");
    });
}

#[test]
fn without_a_context_each_of_them_panics() {
    let reactor =
        "there is no reactor running, must be called from the context of a Tokio 1.x runtime";
    let text = panic_of(async { tokio::time::sleep(SOON).await });
    assert!(text.starts_with(reactor), "{text}");
    let text = panic_of(async { drop(tokio::net::TcpListener::bind("127.0.0.1:0").await) });
    assert!(text.starts_with(reactor), "{text}");
    let text = panic_of(async { drop(tokio::spawn(async {})) });
    assert!(text.starts_with(reactor), "{text}");
}

#[test]
fn local_tasks_do_not_work_beside() {
    let tokio = wakeful_beside_tokio::tokio().unwrap();
    let _context = tokio.enter();
    let text = panic_of(async { drop(tokio::task::spawn_local(async {})) });
    assert!(text.contains("spawn_local"), "{text}");
}

#[test]
fn a_paused_clock_jumps_while_a_task_waits_for_a_timer_of_tokio() {
    let tokio = wakeful_beside_tokio::tokio().unwrap();
    let _context = tokio.enter();
    let wakeful = wakeful::runtime::Builder::new();
    let wakeful = wakeful.start_paused(true).build().unwrap();
    wakeful.block_on(async {
        let waiting = tokio::time::sleep(TIMEOUT);
        let limited = wakeful::time::timeout(2 * TIMEOUT, waiting);
        assert!(limited.await.is_err(), "the later of the two ends first");
    });
}
