//! `serve`: one task per connection, limits, graceful shutdown, and accept errors.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn, ready};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::future::{or, poll_once};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wakeful::Shutdown;
use wakeful::runtime::{Builder, Runtime};
use wakeful::task::{JoinHandle, dump};
use wakeful::time::{Instant, Sleep, sleep};
use wakeful_net::{Connections, Listener, TcpListener, TcpStream, UnixStream, serve};
use wakeful_tests::net_support::{listen, listen_unix, run, settle};
use wakeful_tests::trace::{Hooks, Wakes, alone};

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

/// As [`server`], on an IP address of the test's own. So no other test takes the port when it is free
/// again.
async fn server_on(ip: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
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
        let (listener, address) = server_on("127.0.0.73").await;
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
        let (listener, address) = server_on("127.0.0.74").await;
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
#[should_panic(expected = "a limit of 0 connections would accept no client")]
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
    alone(|| {
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
    alone(|| {
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

// --- the end of a shutdown -------------------------------------------------------------------------

#[test]
fn a_shutdown_ends_when_the_last_connection_closes() {
    run(async {
        let (listener, address) = server().await;
        let shutdown = Shutdown::new();
        let server = serve(listener, echo_all)
            .shutdown_timeout(Duration::MAX)
            .with_graceful_shutdown(shutdown.cancelled());
        let server = wakeful::spawn(server);
        let (first, second) = (client(address).await, client(address).await);
        shutdown.cancel();
        settle().await;
        drop(first);
        settle().await;
        assert!(!server.is_finished());
        drop(second);
        assert_eq!(unfinished(server).await, 0);
    });
}

#[test]
fn a_server_in_the_root_future_ends_after_it_has_aborted_many_connections() {
    // More than one tick polls.
    const CLIENTS: usize = 200;
    let (send_address, receive_address) = std::sync::mpsc::channel();
    let clients = std::thread::spawn(move || {
        let address: SocketAddr = receive_address.recv().unwrap();
        let open = || std::net::TcpStream::connect(address).unwrap();
        (0..CLIENTS).map(|_| open()).collect::<Vec<_>>()
    });
    run(async {
        let (listener, address) = server().await;
        send_address.send(address).unwrap();
        let connections = Connections::new();
        let (all_are_open, watched) = (connections.clone(), connections.clone());
        let all_have_closed = wakeful::spawn(async move {
            while watched.len() < CLIENTS {
                sleep(Duration::from_millis(1)).await;
            }
            while !watched.is_empty() {
                settle().await;
            }
            settle().await;
        });
        let server = serve(listener, async |_stream, _peer| pending().await)
            .connections(connections)
            .shutdown_timeout(Duration::ZERO)
            .with_graceful_shutdown(async move {
                while all_are_open.len() < CLIENTS {
                    sleep(Duration::from_millis(1)).await;
                }
            });
        // By the time all have closed, the server has been woken and has ended.
        let is_late = async {
            all_have_closed.await.unwrap();
            None
        };
        let aborted = or(is_late, async { Some(server.await) }).await;
        assert_eq!(aborted.expect("it was not woken").unwrap(), CLIENTS);
    });
    drop(clients.join().unwrap());
}

#[test]
fn a_server_that_is_polled_between_two_aborted_connections_is_woken_by_the_last() {
    const CLIENTS: usize = 20;
    // The order of polls is random, so the server is not behind all of its connections.
    for seed in 0..10 {
        let builder = Builder::new().start_paused(true).rng_seed(seed);
        builder.build().unwrap().block_on(async {
            let script = Script::new((0..CLIENTS).map(|_| Step::Accept));
            let shutdown = Shutdown::new();
            let server = serve(script, async |(), ()| pending().await)
                .shutdown_timeout(Duration::ZERO)
                .with_graceful_shutdown(shutdown.cancelled());
            let server = wakeful::spawn(server);
            settle().await;
            shutdown.cancel();
            // The clock moves when no task is left to poll.
            sleep(Duration::from_secs(1)).await;
            assert!(server.is_finished(), "it was not woken, seed {seed}");
            assert_eq!(unfinished(server).await, CLIENTS);
        });
    }
}

#[test]
fn a_forced_shutdown_aborts_what_the_graceful_one_waits_for() {
    run(async {
        let (listener, address) = server().await;
        let (first, second) = (Shutdown::new(), Shutdown::new());
        let (graceful, forced) = (first.cancelled(), second.clone());
        let called = Rc::new(Cell::new(false));
        let calls = Rc::clone(&called);
        let server = serve(listener, echo_all)
            .shutdown_timeout(Duration::MAX)
            .with_graceful_shutdown(graceful)
            .with_forced_shutdown(move || {
                calls.set(true);
                forced.cancelled()
            });
        let server = wakeful::spawn(server);
        let client = client(address).await;
        assert!(!called.get(), "the second signal counts after the first");
        first.cancel();
        settle().await;
        assert!(called.get() && !server.is_finished());
        assert!(is_served(&client).await);
        second.cancel();
        assert_eq!(unfinished(server).await, 1);
        assert_eq!(client.read(&mut [0; 4]).await.unwrap(), 0);
    });
}

#[test]
fn clients_that_connected_before_the_shutdown_are_served() {
    run(async {
        // More than one poll accepts within its I/O budget.
        const CLIENTS: usize = 300;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| std::net::TcpStream::connect(address).unwrap())
            .collect();
        // Ready at once: the server has not looked at its listener before.
        let server = serve(listener, async |stream: TcpStream, _peer| {
            stream.write_all(b"!").await.unwrap();
        });
        assert_eq!(server.with_graceful_shutdown(ready(())).await.unwrap(), 0);
        for mut client in clients {
            let mut answer = Vec::new();
            io::Read::read_to_end(&mut client, &mut answer).unwrap();
            assert_eq!(answer, b"!");
        }
    });
}

// --- connections -----------------------------------------------------------------------------------

#[test]
fn a_limit_is_shared_by_the_servers_of_one_set() {
    run(async {
        let ((listener, tcp), (unix_listener, unix)) = (server().await, listen_unix());
        let connections = Connections::with_limit(1);
        assert_eq!((connections.limit(), connections.len()), (Some(1), 0));
        let shutdown = Shutdown::new();
        let servers = [
            wakeful::spawn(
                serve(listener, echo_all)
                    .connections(connections.clone())
                    .with_graceful_shutdown(shutdown.cancelled()),
            ),
            wakeful::spawn(
                serve(unix_listener, async |stream: UnixStream, _peer| {
                    stream.write_all(b"!").await.unwrap();
                    while stream.read(&mut [0; 4]).await.is_ok_and(|n| n > 0) {}
                })
                .connections(connections.clone()),
            ),
        ];
        let first = client(tcp).await;
        let second = UnixStream::connect(&unix).await.unwrap();
        settle().await;
        assert!(second.try_read(&mut [0; 4]).is_err(), "it is in the queue");
        assert_eq!(connections.len(), 1);
        drop(first);
        // A connection of one server closes, and the other server accepts.
        assert_eq!(second.read(&mut [0; 4]).await.unwrap(), 1);
        assert_eq!(connections.len(), 1);
        let third = TcpStream::connect(tcp).await.unwrap();
        third.write_all(b"?").await.unwrap();
        settle().await;
        assert!(third.try_read(&mut [0; 4]).is_err());
        drop(second);
        assert_eq!(third.read(&mut [0; 4]).await.unwrap(), 1);
        drop(third);
        // The other server and its connections are not part of this shutdown.
        let fourth = UnixStream::connect(&unix).await.unwrap();
        assert_eq!(fourth.read(&mut [0; 4]).await.unwrap(), 1);
        shutdown.cancel();
        let [tcp, unix] = servers;
        assert_eq!(unfinished(tcp).await, 0);
        assert_eq!(connections.len(), 1);
        unix.abort();
    });
}

#[test]
fn connections_can_be_listed_aborted_and_observed() {
    run(async {
        let (listener, address) = server().await;
        let connections = Connections::new();
        let closed = Rc::new(RefCell::new(Vec::new()));
        let dropped = Rc::new(Cell::new(0));
        let (log, gone) = (Rc::clone(&closed), Rc::clone(&dropped));
        connections.on_close(move |task, peer| log.borrow_mut().push((task, peer, gone.get())));
        let in_handler = Rc::clone(&dropped);
        let server = serve(listener, async move |stream: TcpStream, _peer| {
            let _held = Dropped(Rc::clone(&in_handler));
            let mut buf = [0; 4];
            let n = stream.read(&mut buf).await.unwrap();
            assert_ne!(&buf[..n], b"bad", "as the test wants it");
            stream.write_all(&buf[..n]).await.unwrap();
            pending().await
        });
        let server = server.connections_with(connections.clone(), |_stream, peer| *peer);
        let server = wakeful::spawn(server);
        let aborted = client(address).await;
        let panicked = TcpStream::connect(address).await.unwrap();
        settle().await;
        let open: Vec<_> = connections.iter().collect();
        assert_eq!((open.len(), connections.len()), (2, 2));
        assert_eq!((connections.is_empty(), connections.limit()), (false, None));

        let [(first, aborted_peer), (second, panicked_peer)] = &open[..] else {
            unreachable!("two were counted")
        };
        assert_eq!(*aborted_peer, aborted.local_addr().unwrap());
        first.abort();
        assert_eq!(aborted.read(&mut [0; 4]).await.unwrap(), 0);
        panicked.write_all(b"bad").await.unwrap();
        assert_eq!(panicked.read(&mut [0; 4]).await.unwrap(), 0);
        settle().await;
        // Each call comes after the handler's future was dropped.
        let expected = [
            (first.id(), *aborted_peer, 1),
            (second.id(), *panicked_peer, 2),
        ];
        assert_eq!(*closed.borrow(), expected);
        assert!(connections.is_empty() && connections.iter().next().is_none());
        server.abort();
    });
}

// --- a listener of the test ------------------------------------------------------------------------

/// Returns these results in turn, then waits forever.
struct Script {
    results: RefCell<VecDeque<Step>>,
    /// When each result was returned, counted from the first call.
    times: Rc<RefCell<Vec<Duration>>>,
    start: Instant,
}

enum Step {
    Accept,
    Fail(i32),
    Wait(std::pin::Pin<Box<Sleep>>),
}

impl Script {
    fn new(results: impl IntoIterator<Item = Step>) -> Script {
        Script {
            results: RefCell::new(results.into_iter().collect()),
            times: Rc::default(),
            start: Instant::now(),
        }
    }
}

impl Listener for Script {
    type Stream = ();
    type Address = ();

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<((), ())>> {
        let mut results = self.results.borrow_mut();
        if let Some(Step::Wait(sleep)) = results.front_mut() {
            std::task::ready!(sleep.as_mut().poll(cx));
            results.pop_front();
        }
        let result = match results.pop_front() {
            Some(Step::Accept) => Ok(((), ())),
            Some(Step::Fail(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Step::Wait(_)) | None => return Poll::Pending,
        };
        self.times.borrow_mut().push(self.start.elapsed());
        Poll::Ready(result)
    }
}

fn paused() -> Runtime {
    Builder::new().start_paused(true).build().unwrap()
}

#[test]
fn pauses_double_and_start_again_after_a_success_and_each_incident_is_reported_once() {
    paused().block_on(async {
        let fail = || Step::Fail(libc::EMFILE);
        let quiet = |seconds| Step::Wait(Box::pin(sleep(Duration::from_secs(seconds))));
        let script = Script::new([
            fail(),
            fail(),
            fail(),
            fail(),
            fail(),
            fail(),
            Step::Accept, // and the incident goes on
            fail(),
            fail(),
            Step::Accept,
            quiet(10),
            fail(),
        ]);
        let (times, reports) = (Rc::clone(&script.times), Rc::new(Cell::new(0)));
        let reported = Rc::clone(&reports);
        let server = serve(script, async |(), ()| pending().await)
            .on_accept_error(move |_err| reported.set(reported.get() + 1));
        let server = wakeful::spawn(server);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(reports.get(), 1);
        sleep(Duration::from_secs(6)).await;
        assert_eq!(reports.get(), 2);
        let millis: Vec<_> = times.borrow().iter().map(Duration::as_millis).collect();
        let pauses: Vec<_> = millis.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(pauses[..9], [10, 20, 40, 80, 100, 100, 0, 10, 20]);
        server.abort();
    });
}

#[test]
fn a_connection_that_closes_while_the_waker_is_cloned_is_noticed() {
    thread_local! {
        static LENT: RefCell<Option<(Rc<Runtime>, Shutdown)>> = const { RefCell::new(None) };
    }
    let runtime = Rc::new(paused());
    // Outside of `block_on`, where a clone can run the event loop.
    let _entered = runtime.enter();
    let close = Shutdown::new();
    let accepted = Rc::new(Cell::new(0));
    let (in_handler, count) = (close.clone(), Rc::clone(&accepted));
    let server = serve(
        Script::new([Step::Accept, Step::Accept]),
        async move |(), ()| {
            count.set(count.get() + 1);
            in_handler.cancelled().await;
        },
    )
    .max_connections(1);
    let mut server = pin!(server);
    let wakes = Wakes::new();
    let waker = wakes.waker();
    LENT.set(Some((Rc::clone(&runtime), close)));
    let hooks = Hooks::new().on_wake(move || waker.wake_by_ref());
    let waker = hooks.on_clone(|| {
        if let Some((runtime, close)) = LENT.take() {
            close.cancel();
            runtime.block_on(settle());
        }
    });
    let waker = waker.waker();
    assert!(
        server
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    runtime.block_on(settle());
    assert_eq!(accepted.get(), 2, "woken {} times", wakes.count());
    // Nothing is left to accept, and the server still waits.
    runtime.block_on(poll_fn(|cx| {
        assert!(server.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    }));
}

#[test]
fn a_closed_connection_ends_the_pause_at_once() {
    paused().block_on(async {
        let script = Script::new([Step::Accept, Step::Fail(libc::EMFILE), Step::Accept]);
        let (times, close) = (Rc::clone(&script.times), Shutdown::new());
        let in_handler = close.clone();
        let server = wakeful::spawn(serve(script, async move |(), ()| {
            in_handler.cancelled().await;
        }));
        settle().await;
        assert_eq!(times.borrow().len(), 2);
        close.cancel();
        settle().await;
        assert_eq!(*times.borrow(), [Duration::ZERO; 3]);
        server.abort();
    });
}

#[test]
fn the_last_waker_of_a_server_is_woken_when_a_connection_closes() {
    paused().block_on(async {
        let close = Shutdown::new();
        let in_handler = close.clone();
        let script = Script::new([Step::Accept, Step::Accept]);
        let server = serve(script, async move |(), ()| in_handler.cancelled().await);
        let mut server = pin!(server.max_connections(1));
        let (first, last) = (Wakes::new(), Wakes::new());
        for wakes in [&first, &last] {
            let waker = wakes.waker();
            let polled = server.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        close.cancel();
        settle().await;
        assert_eq!((first.count(), last.count()), (0, 1));
    });
}

/// A listener with a client in each round.
struct Endless {
    accepted: Cell<usize>,
    is_next: Cell<bool>,
}

impl Listener for Endless {
    type Stream = ();
    type Address = ();

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<((), ())>> {
        if self.is_next.replace(!self.is_next.get()) {
            self.accepted.set(self.accepted.get() + 1);
            assert!(self.accepted.get() < 1_000, "the server accepts on");
            Poll::Ready(Ok(((), ())))
        } else {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }
}

#[test]
fn a_shutdown_ends_although_clients_keep_connecting() {
    run(async {
        let listener = Endless {
            accepted: Cell::new(0),
            is_next: Cell::new(true),
        };
        let server = serve(listener, async |(), ()| {}).with_graceful_shutdown(ready(()));
        assert_eq!(server.await.unwrap(), 0);
    });
}
