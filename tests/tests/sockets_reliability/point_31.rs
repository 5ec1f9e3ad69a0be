//! Point 31. One stream is read and written by two tasks; with two readers both are woken, and no
//! wake is lost.

use std::cell::RefCell;
use std::rc::Rc;

use futures_lite::future;
use wakeful_net::{TcpStream, UnixStream};
use wakeful_tests::net_support::{listen, pattern, run, settle, tcp_pair};

#[test]
fn one_task_reads_while_another_writes() {
    run(async {
        const LEN: usize = 4 << 20;
        let (server, client) = tcp_pair().await;
        let (server, client) = (Rc::new(server), Rc::new(client));
        let tasks: Vec<_> = [(server, 1), (client, 2)]
            .into_iter()
            .flat_map(|(stream, seed)| {
                let other = Rc::clone(&stream);
                let write = wakeful::spawn(async move {
                    stream.write_all(&pattern(LEN, seed)).await.unwrap();
                });
                let read = wakeful::spawn(async move {
                    let mut got = vec![0; LEN];
                    other.read_exact(&mut got).await.unwrap();
                    assert!(got == pattern(LEN, 3 - seed));
                });
                [write, read]
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Spawns readers and returns the list of their results, in the order of completion.
async fn spawn_readers(readers: usize, stream: Rc<UnixStream>) -> Rc<RefCell<Vec<usize>>> {
    let got = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..readers {
        let (stream, got) = (Rc::clone(&stream), Rc::clone(&got));
        wakeful::spawn(async move {
            let n = stream.read(&mut [0; 8]).await.unwrap();
            got.borrow_mut().push(n);
        });
    }
    settle().await;
    got
}

#[test]
fn two_readers_are_both_woken() {
    run(async {
        let (stream, peer) = UnixStream::pair().unwrap();
        let got = spawn_readers(2, Rc::new(stream)).await;
        peer.write_all(b"abc").await.unwrap();
        settle().await;
        assert_eq!(
            *got.borrow(),
            [3],
            "one reader has the bytes, the other waits again"
        );
        peer.write_all(b"de").await.unwrap();
        settle().await;
        assert_eq!(*got.borrow(), [3, 2]);
    });
}

#[test]
fn eof_wakes_all_readers() {
    run(async {
        let (stream, peer) = UnixStream::pair().unwrap();
        let got = spawn_readers(5, Rc::new(stream)).await;
        drop(peer);
        settle().await;
        assert_eq!(*got.borrow(), [0; 5]);
    });
}

#[test]
fn an_aborted_reader_does_not_consume_the_wake_of_another() {
    run(async {
        let (stream, peer) = UnixStream::pair().unwrap();
        let stream = Rc::new(stream);
        let aborted = wakeful::spawn({
            let stream = Rc::clone(&stream);
            async move { stream.read(&mut [0; 8]).await }
        });
        let got = spawn_readers(1, stream).await;
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_cancelled());
        peer.write_all(b"abc").await.unwrap();
        settle().await;
        assert_eq!(*got.borrow(), [3]);
    });
}

#[test]
fn two_writers_both_make_progress() {
    run(async {
        const LEN: usize = 1 << 20;
        let (server, client) = tcp_pair().await;
        let server = Rc::new(server);
        let writers = [b'a', b'b'].map(|byte| {
            let server = Rc::clone(&server);
            wakeful::spawn(async move { server.write_all(&vec![byte; LEN]).await })
        });
        let mut all = vec![0; 2 * LEN];
        client.read_exact(&mut all).await.unwrap();
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
        assert_eq!(all.iter().filter(|byte| **byte == b'a').count(), LEN);
    });
}

#[test]
fn two_tasks_that_accept_from_one_listener_both_make_progress() {
    run(async {
        let listener = Rc::new(listen().await);
        let address = listener.local_addr().unwrap();
        let served = Rc::new(RefCell::new([0; 2]));
        for me in 0..2 {
            let (listener, served) = (Rc::clone(&listener), Rc::clone(&served));
            wakeful::spawn(async move {
                loop {
                    let (_stream, _) = listener.accept().await.unwrap();
                    served.borrow_mut()[me] += 1;
                    // Yields, so that the other task becomes the first waiter.
                    wakeful::task::yield_now().await;
                }
            });
        }
        settle().await;
        for _ in 0..10 {
            let both = future::zip(TcpStream::connect(address), TcpStream::connect(address)).await;
            drop((both.0.unwrap(), both.1.unwrap()));
            settle().await;
        }
        let served = *served.borrow();
        assert_eq!(served[0] + served[1], 20);
        assert!(served[0] > 0 && served[1] > 0, "{served:?}");
    });
}
