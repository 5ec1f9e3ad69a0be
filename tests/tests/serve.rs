//! `serve`: one task per connection, limits, a graceful end, and what errors of accepting do.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::future::{pending, ready};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::poll_once;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wakeful::Shutdown;
use wakeful::task::{JoinHandle, dump};
use wakeful::time::sleep;
use wakeful_net::{TcpListener, TcpStream, UnixStream, serve};
use wakeful_tests::net_support::{alone, listen, listen_unix, run, settle};

async fn echo(stream: TcpStream) -> io::Result<()> {
    let mut buf = [0; 256];
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(()),
            n => stream.write_all(&buf[..n]).await?,
        }
    }
}

/// The handler of most tests.
async fn echo_all(stream: TcpStream, _peer: SocketAddr) {
    echo(stream).await.ok();
}

/// A client that has been answered: its connection has a task.
async fn client(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).await.unwrap();
    assert!(is_served(&client).await);
    client
}

async fn is_served(client: &TcpStream) -> bool {
    let sent = client.write_all(b"?").await;
    sent.is_ok() && matches!(client.read(&mut [0; 4]).await, Ok(1))
}

async fn server() -> (TcpListener, SocketAddr) {
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn end_of(server: JoinHandle<io::Result<usize>>) -> usize {
    server.await.unwrap().unwrap()
}

#[test]
fn every_connection_has_a_task_and_knows_its_peer() {
    run(async {
        let (listener, address) = server().await;
        let peers = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&peers);
        let server = wakeful::spawn(serve(listener, async move |stream, peer| {
            seen.borrow_mut().push(peer);
            echo(stream).await.unwrap();
        }));
        let mut clients = Vec::new();
        for _ in 0..20 {
            clients.push(client(address).await);
        }
        for client in &clients {
            assert!(is_served(client).await);
        }
        let addresses: Vec<_> = clients
            .iter()
            .map(|one| one.local_addr().unwrap())
            .collect();
        assert_eq!(*peers.borrow(), addresses);
        server.abort();
    });
}

#[test]
fn unix_listeners_are_served_too() {
    run(async {
        let (listener, name) = listen_unix();
        let server = wakeful::spawn(serve(listener, async |stream: UnixStream, peer| {
            assert!(wakeful_net::unix::SocketAddr::is_unnamed(&peer));
            stream.write_all(b"welcome").await.unwrap();
        }));
        let client = UnixStream::connect(&name).await.unwrap();
        let mut buf = [0; 16];
        assert_eq!(client.read(&mut buf).await.unwrap(), 7);
        assert_eq!(client.read(&mut buf).await.unwrap(), 0);
        server.abort();
    });
}

#[test]
fn beyond_the_limit_clients_wait_until_one_leaves() {
    run(async {
        let (listener, address) = server().await;
        let server = wakeful::spawn(serve(listener, echo_all).max_connections(2));
        let first = client(address).await;
        let second = client(address).await;
        let third = TcpStream::connect(address).await.unwrap();
        third.write_all(b"?").await.unwrap();
        settle().await;
        assert!(
            third.try_read(&mut [0; 4]).is_err(),
            "it waits in the queue"
        );
        assert!(is_served(&first).await);
        drop(second);
        assert_eq!(third.read(&mut [0; 4]).await.unwrap(), 1);
        // A place that came free is one place, not two.
        let fourth = TcpStream::connect(address).await.unwrap();
        fourth.write_all(b"?").await.unwrap();
        settle().await;
        assert!(fourth.try_read(&mut [0; 4]).is_err());
        drop((first, third));
        assert_eq!(fourth.read(&mut [0; 4]).await.unwrap(), 1);
        server.abort();
    });
}

#[test]
fn a_handler_that_panics_gives_its_place_back() {
    run(async {
        let (listener, address) = server().await;
        let server = wakeful::spawn(
            serve(listener, async |stream: TcpStream, _peer| {
                let mut buf = [0; 4];
                let n = stream.read(&mut buf).await.unwrap();
                assert_ne!(&buf[..n], b"bad", "as the test wants it");
                stream.write_all(&buf[..n]).await.unwrap();
            })
            .max_connections(1),
        );
        let bad = TcpStream::connect(address).await.unwrap();
        bad.write_all(b"bad").await.unwrap();
        assert_eq!(bad.read(&mut [0; 4]).await.unwrap(), 0);
        let good = TcpStream::connect(address).await.unwrap();
        assert!(is_served(&good).await);
        server.abort();
    });
}

#[test]
fn the_end_waits_for_connections_and_refuses_new_ones() {
    run(async {
        let (listener, address) = server().await;
        let shutdown = Shutdown::new();
        let server = serve(listener, echo_all).with_graceful_shutdown(shutdown.cancelled());
        let server = wakeful::spawn(server);
        let client = client(address).await;
        shutdown.cancel();
        settle().await;
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert!(is_served(&client).await, "what is open is served on");
        assert!(!server.is_finished());
        drop(client);
        assert_eq!(end_of(server).await, 0);
    });
}

#[test]
fn without_connections_the_end_is_at_once() {
    run(async {
        let (listener, _) = server().await;
        let server = serve(listener, echo_all).shutdown_timeout(Duration::MAX);
        assert_eq!(
            server
                .with_graceful_shutdown(ready("whatever"))
                .await
                .unwrap(),
            0
        );
    });
}

#[test]
fn handlers_that_look_at_the_same_shutdown_end_between_two_requests() {
    run(async {
        let (listener, address) = server().await;
        let shutdown = Shutdown::new();
        let begun = shutdown.clone();
        let server = serve(listener, async move |stream: TcpStream, _peer| {
            let mut buf = [0; 4];
            while let Some(Ok(n @ 1..)) = begun.run_until_cancelled(stream.read(&mut buf)).await {
                stream.write_all(&buf[..n]).await.unwrap();
            }
            stream.write_all(b"goodbye").await.unwrap();
        });
        let server = wakeful::spawn(server.with_graceful_shutdown(shutdown.cancelled()));
        let client = client(address).await;
        shutdown.cancel();
        assert_eq!(end_of(server).await, 0);
        let mut words = [0; 7];
        client.read_exact(&mut words).await.unwrap();
        assert_eq!(&words, b"goodbye");
    });
}

/// Counts when it is dropped.
struct Dropped(Rc<Cell<usize>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn after_the_grace_connections_are_cut_off_and_gone_when_the_server_returns() {
    run(async {
        let (listener, address) = server().await;
        let shutdown = Shutdown::new();
        let dropped = Rc::new(Cell::new(0));
        let inside = Rc::clone(&dropped);
        let server = serve(listener, async move |stream: TcpStream, _peer| {
            let _held = Dropped(Rc::clone(&inside));
            stream.write_all(b"!").await.unwrap();
            pending::<()>().await;
        });
        let server = server
            .shutdown_timeout(Duration::from_millis(5))
            .with_graceful_shutdown(shutdown.cancelled());
        let gone = Rc::clone(&dropped);
        // Looks in the very poll in which the server returns.
        let server = wakeful::spawn(async move { (server.await.unwrap(), gone.get()) });
        let mut clients = Vec::new();
        for _ in 0..3 {
            let client = TcpStream::connect(address).await.unwrap();
            client.read_exact(&mut [0; 1]).await.unwrap();
            clients.push(client);
        }
        shutdown.cancel();
        assert_eq!(server.await.unwrap(), (3, 3));
        for client in &clients {
            assert_eq!(client.read(&mut [0; 4]).await.unwrap(), 0);
        }
    });
}

#[test]
fn dropping_the_server_leaves_its_connections() {
    run(async {
        let (listener, address) = server().await;
        let server = wakeful::spawn(serve(listener, echo_all));
        let client = client(address).await;
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
        assert!(TcpStream::connect(address).await.is_err());
        assert!(is_served(&client).await);
        drop(client);
        settle().await;
        assert_eq!(wakeful::metrics().sources, 0);
    });
}

#[test]
fn a_listener_that_is_none_ends_the_server_with_its_error() {
    run(async {
        // A socket that nobody has told to listen.
        let kind = socket2::Type::STREAM;
        let socket = socket2::Socket::new(socket2::Domain::IPV4, kind, None).unwrap();
        let listener = TcpListener::from_std(socket.into()).unwrap();
        let err = serve(listener, echo_all).await.unwrap_err();
        assert_eq!(err.raw_os_error(), Some(libc::EINVAL));
    });
}

#[test]
#[should_panic(expected = "`max_connections(0)` would accept nobody")]
fn a_limit_of_nobody_is_a_mistake() {
    run(async {
        drop(serve(listen().await, echo_all).max_connections(0));
    });
}

#[test]
fn the_records_of_the_server_and_its_connections_name_the_line_that_made_it() {
    run(async {
        let (listener, address) = server().await;
        let line = line!() + 1;
        let server = serve(listener, echo_all);
        let server = wakeful::spawn(server);
        let _client = client(address).await;
        settle().await;
        let records = dump();
        let (mut own, mut connections): (Vec<_>, Vec<_>) =
            records.iter().partition(|record| record.id == server.id());
        let connection = connections.pop().unwrap().spawned_at;
        assert_eq!((connection.file(), connection.line()), (file!(), line));
        let waiting = own.pop().unwrap().waiting.unwrap();
        assert_eq!(
            (waiting.operation, waiting.location.line()),
            ("serve", line)
        );
        assert_eq!(waiting.location.file(), file!());
    });
}

#[test]
fn a_shortage_of_descriptors_pauses_accepting_and_nothing_else() {
    let name = "a_shortage_of_descriptors_pauses_accepting_and_nothing_else";
    alone(name, || {
        run(async {
            let (listener, address) = server().await;
            let told = Rc::new(RefCell::new(Vec::new()));
            let tell = Rc::clone(&told);
            let server = serve(listener, echo_all)
                .on_accept_error(move |err| tell.borrow_mut().push(err.raw_os_error()));
            let server = wakeful::spawn(server);
            let open = client(address).await;
            // Blocking, so that the server is not polled before the limit is set.
            let waiting = std::net::TcpStream::connect(address).unwrap();
            waiting.set_nonblocking(true).unwrap();
            let waiting = TcpStream::from_std(waiting).unwrap();
            // Room for nothing more: the lowest free descriptor is beyond the limit.
            let limit = getrlimit(Resource::Nofile);
            let none = Rlimit {
                current: Some(3),
                maximum: limit.maximum,
            };
            setrlimit(Resource::Nofile, none).unwrap();
            waiting.write_all(b"?").await.unwrap();
            let before = wakeful::metrics();
            sleep(Duration::from_millis(300)).await;
            let after = wakeful::metrics();
            assert_eq!(*told.borrow(), [Some(libc::EMFILE)]);
            let polls = after.polls - before.polls;
            assert!(polls < 40, "{polls} polls in 300 ms");
            assert!(is_served(&open).await);
            setrlimit(Resource::Nofile, limit).unwrap();
            // Nobody connects: the pause alone brings it back.
            assert_eq!(waiting.read(&mut [0; 4]).await.unwrap(), 1);
            assert_eq!(told.borrow().len(), 1);
            server.abort();
        });
    });
}

#[test]
fn a_connection_that_leaves_ends_the_pause() {
    alone("a_connection_that_leaves_ends_the_pause", || {
        run(async {
            let (listener, address) = server().await;
            let server = wakeful::spawn(serve(listener, echo_all));
            let open = client(address).await;
            let waiting = TcpStream::connect(address).await.unwrap();
            // No number is free but those that the open connection gives back.
            let lowest = std::fs::File::open("/dev/null").unwrap().as_raw_fd();
            let mut limit = getrlimit(Resource::Nofile);
            limit.current = Some(u64::try_from(lowest).unwrap());
            setrlimit(Resource::Nofile, limit).unwrap();
            waiting.write_all(b"?").await.unwrap();
            sleep(Duration::from_millis(80)).await; // by now the pause is 80 ms long
            drop(open);
            for _ in 0..4 {
                settle().await;
            }
            let answered = poll_once(waiting.read(&mut [0; 4])).await;
            assert_eq!(answered.expect("at once").unwrap(), 1);
            server.abort();
        });
    });
}
