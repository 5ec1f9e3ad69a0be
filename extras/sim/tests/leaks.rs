//! What a test leaves behind, and what a test that leaves nothing can take its time for.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::time::Duration;

use wakeful::time::sleep;
use wakeful_net::{TcpListener, TcpStream};
use wakeful_sim::{Leaks, Options, Run, Sim, run_seed};

/// Echoes to one client, until it leaves.
async fn serve(listener: TcpListener) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut buf = [0; 64];
    while let n @ 1.. = stream.read(&mut buf).await.unwrap() {
        stream.write_all(&buf[..n]).await.unwrap();
    }
    // The end of a connection takes longer than its test.
    sleep(Duration::from_secs(20)).await;
}

fn deny() -> Options {
    Options::new().leaks(Leaks::Deny)
}

fn text_of(run: Run) -> String {
    *run.panic.unwrap().downcast::<String>().unwrap()
}

wakeful_sim::test! {
    seeds = 50;
    leaks = Leaks::Deny;
    async fn what_ends_by_itself_within_a_minute_is_no_leak(_sim: Sim) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        wakeful::spawn(serve(listener));
        let stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        stream.read_exact(&mut [0; 5]).await.unwrap();
    }
}

#[test]
fn a_task_that_is_left_with_its_socket_fails_the_run_and_is_named() {
    let run = run_seed("test", 1, deny(), |_| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = wakeful::task::Builder::new().name("server");
        server.spawn(serve(listener)).unwrap();
    });
    let text = text_of(run);
    let begin = "leak after 60.0";
    assert!(text.starts_with(begin), "{text}");
    assert!(text.contains("1 task and 1 socket are left\n"), "{text}");
    assert!(text.contains("task 1.0 \"server\": spawned at "), "{text}");
    assert!(text.contains("TcpListener::accept"), "{text}");
}

#[test]
fn a_socket_without_a_task_fails_the_run() {
    thread_local!(static KEPT: RefCell<Vec<TcpListener>> = const { RefCell::new(Vec::new()) });
    let run = run_seed("test", 1, deny(), |_| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        KEPT.with_borrow_mut(|kept| kept.push(listener));
    });
    let text = text_of(run);
    assert!(text.ends_with("0 tasks and 1 socket are left"), "{text}");
}

#[test]
fn a_leak_is_allowed_unless_it_is_denied() {
    let run = run_seed("test", 1, Options::new(), |_| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        wakeful::spawn(serve(listener));
    });
    assert!(run.panic.is_none());
}
