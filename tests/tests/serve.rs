//! `serve`: one task per connection, limits, graceful shutdown, and accept errors.

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

/// Handler of most tests.
async fn echo_all(stream: TcpStream, _peer: SocketAddr) {
    echo(stream).await.ok();
}

/// Connects a client and waits for one echo, so that its connection has a task.
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

async fn unfinished(server: JoinHandle<io::Result<usize>>) -> usize {
    server.await.unwrap().unwrap()
}

#[test]
fn each_connection_gets_a_task_and_its_peer_address() {
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
fn serve_accepts_unix_listeners() {
    run(async {
        let (listener, name) = listen_unix();
        let server = wakeful::spawn(serve(listener, async |stream: UnixStream, peer| {
            assert!(wakeful_net::unix::SocketAddr::is_unnamed(&peer));
            stream.write_all(b"hello").await.unwrap();
        }));
        let client = UnixStream::connect(&name).await.unwrap();
        let mut buf = [0; 16];
        assert_eq!(client.read(&mut buf).await.unwrap(), 5);
        assert_eq!(client.read(&mut buf).await.unwrap(), 0);
        server.abort();
    });
}

#[test]
fn clients_beyond_max_connections_wait_until_one_closes() {
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
            "the third connection stays in the backlog"
        );
        assert!(is_served(&first).await);
        drop(second);
        assert_eq!(third.read(&mut [0; 4]).await.unwrap(), 1);
        // One closed connection frees one slot, not two.
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
fn a_panicking_handler_frees_its_connection_slot() {
    run(async {
        let (listener, address) = server().await;
        let server = wakeful::spawn(
            serve(listener, async |stream: TcpStream, _peer| {
                let mut buf = [0; 4];
                let n = stream.read(&mut buf).await.unwrap();
                assert_ne!(&buf[..n], b"bad", "deliberate panic");
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
fn graceful_shutdown_waits_for_connections_and_refuses_new_ones() {
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
        assert!(
            is_served(&client).await,
            "an open connection is still served"
        );
        assert!(!server.is_finished());
        drop(client);
        assert_eq!(unfinished(server).await, 0);
    });
}

#[test]
fn graceful_shutdown_without_connections_returns_at_once() {
    run(async {
        let (listener, _) = server().await;
        let server = serve(listener, echo_all).shutdown_timeout(Duration::MAX);
        assert_eq!(
            server
                .with_graceful_shutdown(ready("any output"))
                .await
                .unwrap(),
            0
        );
    });
}

#[test]
fn handlers_that_share_the_shutdown_stop_between_requests() {
    run(async {
        let (listener, address) = server().await;
        let shutdown = Shutdown::new();
        let inside = shutdown.clone();
        let server = serve(listener, async move |stream: TcpStream, _peer| {
            let mut buf = [0; 4];
            while let Some(Ok(n @ 1..)) = inside.run_until_cancelled(stream.read(&mut buf)).await {
                stream.write_all(&buf[..n]).await.unwrap();
            }
            stream.write_all(b"closing").await.unwrap();
        });
        let server = wakeful::spawn(server.with_graceful_shutdown(shutdown.cancelled()));
        let client = client(address).await;
        shutdown.cancel();
        assert_eq!(unfinished(server).await, 0);
        let mut last = [0; 7];
        client.read_exact(&mut last).await.unwrap();
        assert_eq!(&last, b"closing");
    });
}

/// Counts its drops.
struct Dropped(Rc<Cell<usize>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn connections_are_aborted_after_shutdown_timeout_and_dropped_before_serve_returns() {
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
        let count = Rc::clone(&dropped);
        // Reads the count in the same poll in which the server returns.
        let server = wakeful::spawn(async move { (server.await.unwrap(), count.get()) });
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
fn dropping_the_server_keeps_its_connections() {
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
fn a_socket_that_does_not_listen_ends_the_server_with_its_error() {
    run(async {
        // A socket on which `listen` was never called.
        let kind = socket2::Type::STREAM;
        let socket = socket2::Socket::new(socket2::Domain::IPV4, kind, None).unwrap();
        let listener = TcpListener::from_std(socket.into()).unwrap();
        let err = serve(listener, echo_all).await.unwrap_err();
        assert_eq!(err.raw_os_error(), Some(libc::EINVAL));
    });
}

#[test]
#[should_panic(expected = "max_connections(0)")]
fn max_connections_of_zero_panics() {
    run(async {
        drop(serve(listen().await, echo_all).max_connections(0));
    });
}

#[test]
fn task_info_of_server_and_connections_names_the_line_that_called_serve() {
    run(async {
        let (listener, address) = server().await;
        let line = line!() + 1;
        let server = serve(listener, echo_all);
        let server = wakeful::spawn(server);
        let _client = client(address).await;
        settle().await;
        let tasks = dump();
        let (mut own, mut connections): (Vec<_>, Vec<_>) =
            tasks.iter().partition(|task| task.id == server.id());
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
fn running_out_of_descriptors_pauses_accepting_only() {
    let name = "running_out_of_descriptors_pauses_accepting_only";
    alone(name, || {
        run(async {
            let (listener, address) = server().await;
            let errors = Rc::new(RefCell::new(Vec::new()));
            let seen = Rc::clone(&errors);
            let server = serve(listener, echo_all)
                .on_accept_error(move |err| seen.borrow_mut().push(err.raw_os_error()));
            let server = wakeful::spawn(server);
            let open = client(address).await;
            // Blocking, so that the server is not polled before the limit is set.
            let waiting = std::net::TcpStream::connect(address).unwrap();
            waiting.set_nonblocking(true).unwrap();
            let waiting = TcpStream::from_std(waiting).unwrap();
            // No descriptor can be opened: the lowest free number is above the limit.
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
            assert_eq!(*errors.borrow(), [Some(libc::EMFILE)]);
            let polls = after.polls - before.polls;
            assert!(polls < 40, "{polls} polls in 300 ms");
            assert!(is_served(&open).await);
            setrlimit(Resource::Nofile, limit).unwrap();
            // No new client connects: accepting resumes by the timer alone.
            assert_eq!(waiting.read(&mut [0; 4]).await.unwrap(), 1);
            assert_eq!(errors.borrow().len(), 1);
            server.abort();
        });
    });
}

#[test]
fn a_closed_connection_ends_the_pause() {
    alone("a_closed_connection_ends_the_pause", || {
        run(async {
            let (listener, address) = server().await;
            let server = wakeful::spawn(serve(listener, echo_all));
            let open = client(address).await;
            let waiting = TcpStream::connect(address).await.unwrap();
            // The only free descriptor numbers are those that the open connection releases.
            let lowest = std::fs::File::open("/dev/null").unwrap().as_raw_fd();
            let mut limit = getrlimit(Resource::Nofile);
            limit.current = Some(u64::try_from(lowest).unwrap());
            setrlimit(Resource::Nofile, limit).unwrap();
            waiting.write_all(b"?").await.unwrap();
            sleep(Duration::from_millis(80)).await; // the pause is 80 ms long by then
            drop(open);
            for _ in 0..4 {
                settle().await;
            }
            let answered = poll_once(waiting.read(&mut [0; 4])).await;
            assert_eq!(answered.expect("accepted without a timer").unwrap(), 1);
            server.abort();
        });
    });
}
