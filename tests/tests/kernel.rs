//! A kernel that is installed below the system calls: faults on real sockets, and the runtime's clock,
//! order, closures, names and signals.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{HashMap, VecDeque};
use std::fmt::Display;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Shutdown};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_lite::future::zip;
use wakeful::dump::SourceKind;
use wakeful::kernel::{
    self, Address, Choice, Event, Inspected, Installed, Kernel, Verdict, Wait, Work,
};
use wakeful::runtime::{Builder, Runtime};
use wakeful::signal::unix::{SignalKind, signal};
use wakeful::task::{spawn_blocking, yield_now};
use wakeful::time::{Instant, sleep};
use wakeful_net::{
    AcceptErrorKind, SocketError, TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixStream,
    classify_accept_error, lookup_host,
};
use wakeful_tests::net_support::{TempDir, listen, pattern, run, tcp_pair};
use wakeful_tests::recording::Recording;
use wakeful_tests::trace::{Trace, panic_of, poll_once, runtime, secs};

fn errno<T>(errno: i32) -> Verdict<T> {
    Verdict::Is(Err(io::Error::from_raw_os_error(errno)))
}

/// Installs a kernel and returns it with its guard.
fn installed<K: Kernel + 'static>(kernel: K) -> (Arc<K>, Installed) {
    let kernel = Arc::new(kernel);
    let guard = kernel::install(Arc::clone(&kernel) as Arc<dyn Kernel>);
    (kernel, guard)
}

// --- faults on real sockets -------------------------------------------------------------------------

/// Lets calls fail by name: the next ones of that name return the errors in the list.
#[derive(Default)]
struct Faults {
    errors: Mutex<HashMap<&'static str, VecDeque<i32>>>,
    /// Calls that were asked for, by name.
    asked: Mutex<HashMap<&'static str, usize>>,
    /// Descriptors that exist.
    open: Mutex<Vec<RawFd>>,
    /// The token and the flags of the event that follows an `EAGAIN`.
    again: Mutex<Vec<Event>>,
    tokens: Mutex<HashMap<RawFd, u64>>,
}

impl Faults {
    fn fail(&self, call: &'static str, errors: &[i32]) {
        lock(&self.errors).entry(call).or_default().extend(errors);
    }

    fn verdict<T>(&self, call: &'static str) -> Verdict<T> {
        *lock(&self.asked).entry(call).or_default() += 1;
        let next = lock(&self.errors)
            .get_mut(call)
            .and_then(VecDeque::pop_front);
        next.map_or(Verdict::Real, errno)
    }

    fn asked(&self, call: &str) -> usize {
        lock(&self.asked).get(call).copied().unwrap_or(0)
    }

    /// As `verdict`. After `EAGAIN` comes the event that Linux would report.
    fn transfer<T>(&self, call: &'static str, fd: BorrowedFd<'_>, flags: i32) -> Verdict<T> {
        let verdict = self.verdict(call);
        if let Verdict::Is(Err(error)) = &verdict
            && error.kind() == ErrorKind::WouldBlock
            && let Some(&token) = lock(&self.tokens).get(&fd.as_raw_fd())
        {
            let flags = flags as u32;
            lock(&self.again).push(Event { token, flags });
        }
        verdict
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl Kernel for Faults {
    fn opened(&self, fd: BorrowedFd<'_>) {
        lock(&self.open).push(fd.as_raw_fd());
    }

    fn paired(&self, near: BorrowedFd<'_>, far: BorrowedFd<'_>) {
        lock(&self.open).extend([near.as_raw_fd(), far.as_raw_fd()]);
    }

    fn duplicated(&self, _from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
        lock(&self.open).push(to.as_raw_fd());
    }

    fn accepted(&self, _listener: BorrowedFd<'_>, fd: BorrowedFd<'_>) {
        lock(&self.open).push(fd.as_raw_fd());
    }

    fn closing(&self, fd: BorrowedFd<'_>) {
        let mut open = lock(&self.open);
        let at = open.iter().position(|open| *open == fd.as_raw_fd());
        open.swap_remove(at.expect("it was opened"));
    }

    fn bind(&self, _fd: BorrowedFd<'_>, _address: &Address) -> Verdict<()> {
        self.verdict("bind")
    }

    fn listen(&self, _fd: BorrowedFd<'_>, _backlog: u32) -> Verdict<()> {
        self.verdict("listen")
    }

    fn connect(&self, _fd: BorrowedFd<'_>, _address: &Address) -> Verdict<()> {
        self.verdict("connect")
    }

    fn accept(&self, _listener: BorrowedFd<'_>) -> Verdict<(OwnedFd, Address)> {
        self.verdict("accept")
    }

    fn shutdown(&self, _fd: BorrowedFd<'_>, _how: Shutdown) -> Verdict<()> {
        self.verdict("shutdown")
    }

    fn recv(&self, fd: BorrowedFd<'_>, _: &mut [IoSliceMut<'_>], _peek: bool) -> Verdict<usize> {
        self.transfer("recv", fd, libc::EPOLLIN)
    }

    fn send(&self, fd: BorrowedFd<'_>, _: &[IoSlice<'_>]) -> Verdict<usize> {
        self.transfer("send", fd, libc::EPOLLOUT)
    }

    fn recv_from(
        &self,
        fd: BorrowedFd<'_>,
        _buf: &mut [u8],
        _peek: bool,
    ) -> Verdict<(usize, Address)> {
        self.transfer("recv_from", fd, libc::EPOLLIN)
    }

    fn send_to(&self, fd: BorrowedFd<'_>, _buf: &[u8], _target: &Address) -> Verdict<usize> {
        self.transfer("send_to", fd, libc::EPOLLOUT)
    }

    fn take_error(&self, _fd: BorrowedFd<'_>) -> Verdict<Option<io::Error>> {
        self.verdict("take_error")
    }

    fn local_addr(&self, _fd: BorrowedFd<'_>) -> Verdict<Address> {
        self.verdict("local_addr")
    }

    fn peer_addr(&self, _fd: BorrowedFd<'_>) -> Verdict<Address> {
        self.verdict("peer_addr")
    }

    fn watch(
        &self,
        _epoll: BorrowedFd<'_>,
        fd: BorrowedFd<'_>,
        token: u64,
        _interest: u32,
    ) -> Verdict<()> {
        lock(&self.tokens).insert(fd.as_raw_fd(), token);
        self.verdict("watch")
    }

    fn wait(&self, wait: &mut Wait<'_>) -> io::Result<()> {
        if let Verdict::Is(Err(error)) = self.verdict::<()>("wait") {
            return Err(error);
        }
        let mut again = lock(&self.again);
        let limit = if again.is_empty() {
            wait.limit()
        } else {
            Some(Duration::ZERO)
        };
        again.retain(|event| !wait.push(*event));
        drop(again);
        wait.real(limit)
    }
}

/// Sends and receives at most 1 to 3 bytes at a time.
struct Crumbs;

impl Kernel for Crumbs {
    fn recv(&self, _: BorrowedFd<'_>, bufs: &mut [IoSliceMut<'_>], _: bool) -> Verdict<usize> {
        let asked: usize = bufs.iter().map(|buf| buf.len()).sum();
        Verdict::Short(1 + asked % 3)
    }

    fn send(&self, _: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> Verdict<usize> {
        let asked: usize = bufs.iter().map(|buf| buf.len()).sum();
        Verdict::Short(asked % 3)
    }
}

#[test]
fn transfers_of_a_few_bytes_lose_none_and_keep_their_order() {
    let (_, _guard) = installed(Crumbs);
    run(async {
        let (server, client) = tcp_pair().await;
        let bytes = pattern(20_000, 100);
        let send = async {
            client.write_all(&bytes[..10_000]).await.unwrap();
            let mut sent = 10_000;
            while sent < bytes.len() {
                let parts = bytes[sent..].chunks(7).take(5);
                let bufs: Vec<IoSlice<'_>> = parts.map(IoSlice::new).collect();
                let count = client.write_vectored(&bufs).await.unwrap();
                assert!((1..=3).contains(&count), "{count}");
                sent += count;
            }
            client.shutdown().await.unwrap();
        };
        let receive = async {
            let mut got = vec![0; 10_000];
            server.read_exact(&mut got).await.unwrap();
            loop {
                let (mut first, mut second) = ([0; 2], [0; 100]);
                let bufs = &mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
                let count = server.read_vectored(bufs).await.unwrap();
                assert!(count <= 2, "only the first buffer is asked for: {count}");
                if count == 0 {
                    return got;
                }
                got.extend_from_slice(&first[..count]);
            }
        };
        let ((), got) = zip(send, receive).await;
        assert!(got == bytes);

        let (near, far) = UnixStream::pair().unwrap();
        near.write_all(b"over a Unix socket").await.unwrap();
        let mut got = [0; 18];
        assert_eq!(far.peek(&mut got).await.unwrap(), 1);
        far.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"over a Unix socket");
    });
}

/// Makes one of every call that a socket makes.
async fn every_call() {
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    let connect = TcpStream::connect(address);
    let (accepted, client) = zip(listener.accept(), connect).await;
    let (server, _) = accepted.unwrap();
    let client = client.unwrap();
    assert_eq!(client.peer_addr().unwrap(), address);
    client.write_all(b"ping").await.unwrap();
    server.peek(&mut [0; 4]).await.unwrap();
    server.read_exact(&mut [0; 4]).await.unwrap();
    assert!(server.take_error().unwrap().is_none());
    client.shutdown().await.unwrap();
    assert_eq!(server.read(&mut [0; 4]).await.unwrap(), 0);

    let (one, other) = (
        UdpSocket::bind("127.0.0.1:0"),
        UdpSocket::bind("127.0.0.1:0"),
    );
    let (one, other) = (one.await.unwrap(), other.await.unwrap());
    one.send_to(b"ping", other.local_addr().unwrap())
        .await
        .unwrap();
    other.recv_from(&mut [0; 4]).await.unwrap();
    let (near, far) = UnixDatagram::pair().unwrap();
    near.send(b"ping").await.unwrap();
    far.recv(&mut [0; 4]).await.unwrap();
    drop(server.try_clone().unwrap());
    drop(client.into_std().unwrap());
}

const CALLS: [&str; 12] = [
    "bind",
    "listen",
    "connect",
    "accept",
    "shutdown",
    "recv",
    "send",
    "recv_from",
    "send_to",
    "take_error",
    "local_addr",
    "peer_addr",
];

#[test]
fn an_interrupted_call_is_made_again_whichever_it_is() {
    let (faults, _guard) = installed(Faults::default());
    for call in CALLS {
        faults.fail(call, &[libc::EINTR, libc::EINTR]);
    }
    faults.fail("wait", &[libc::EINTR; 3]);
    run(every_call());
    for call in CALLS {
        assert!(lock(&faults.errors)[call].is_empty(), "{call}");
        assert!(faults.asked(call) >= 3, "{call}");
    }
}

#[test]
fn every_descriptor_that_is_opened_is_closed_once() {
    let (faults, _guard) = installed(Faults::default());
    run(every_call());
    assert!(lock(&faults.open).is_empty());
}

#[test]
fn eagain_without_a_reason_is_waited_for_whichever_call_it_is() {
    let (faults, _guard) = installed(Faults::default());
    for call in ["recv", "send", "recv_from", "send_to"] {
        faults.fail(call, &[libc::EAGAIN; 3]);
    }
    run(every_call());
    for call in ["recv", "send", "recv_from", "send_to"] {
        assert!(lock(&faults.errors)[call].is_empty(), "{call}");
    }
}

#[test]
fn an_error_of_bind_listen_or_connect_names_the_address_and_closes_the_socket() {
    let (faults, _guard) = installed(Faults::default());
    run(async {
        for (call, error) in [("bind", libc::EACCES), ("listen", libc::EADDRINUSE)] {
            faults.fail(call, &[error]);
            let error = TcpListener::bind("127.0.0.1:1").await.unwrap_err();
            let details = SocketError::downcast_ref(&error).unwrap();
            assert_eq!(details.address(), "127.0.0.1:1");
            assert!(lock(&faults.open).is_empty());
        }
        for error in [
            libc::ENETUNREACH,
            libc::EADDRNOTAVAIL,
            libc::EPERM,
            libc::ENOBUFS,
        ] {
            faults.fail("connect", &[error]);
            let failed = TcpStream::connect("127.0.0.1:1").await.unwrap_err();
            let details = SocketError::downcast_ref(&failed).unwrap();
            assert_eq!(details.io_error().raw_os_error(), Some(error));
            assert!(lock(&faults.open).is_empty());
        }
        // The outcome of a connection that was in progress.
        let listener = listen().await;
        faults.fail("connect", &[libc::EINPROGRESS]);
        faults.fail("peer_addr", &[libc::ETIMEDOUT]);
        let failed = TcpStream::connect(listener.local_addr().unwrap()).await;
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(lock(&faults.open).len(), 1);
    });
}

#[test]
fn after_any_shortage_of_accept_the_waiting_connection_is_accepted_without_a_new_one() {
    let shortages = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    let (faults, _guard) = installed(Faults::default());
    run(async {
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        for shortage in shortages {
            let client = TcpStream::connect(address).await.unwrap();
            faults.fail("accept", &[libc::ECONNABORTED, shortage]);
            let failed = listener.accept().await.unwrap_err();
            assert_eq!(failed.raw_os_error(), Some(shortage));
            assert_eq!(classify_accept_error(&failed), AcceptErrorKind::Backoff);
            let (_server, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        }
    });
}

#[test]
fn a_socket_that_epoll_refuses_is_an_error_and_is_closed() {
    let (faults, _guard) = installed(Faults::default());
    run(async {
        for error in [libc::ENOSPC, libc::ENOMEM] {
            faults.fail("watch", &[error]);
            let failed = TcpListener::bind("127.0.0.1:0").await.unwrap_err();
            let details = SocketError::downcast_ref(&failed).unwrap();
            assert_eq!(details.io_error().raw_os_error(), Some(error));
        }
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        faults.fail("watch", &[libc::ENOSPC]);
        let failed = listener.accept().await.unwrap_err();
        assert_eq!(failed.raw_os_error(), Some(libc::ENOSPC));
        assert_eq!(lock(&faults.open).len(), 2);
        // The peer learns that the connection was closed.
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    });
}

#[test]
fn a_runtime_that_epoll_refuses_its_eventfd_is_not_built() {
    let (faults, _guard) = installed(Faults::default());
    faults.fail("watch", &[libc::ENOMEM]);
    let error = Runtime::new().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));
}

#[test]
fn an_error_of_epoll_wait_ends_the_loop_and_does_not_spin() {
    let (faults, _guard) = installed(Faults::default());
    let runtime = runtime();
    faults.fail("wait", &[libc::EBADF]);
    let text = panic_of(|| runtime.block_on(async { sleep(secs(3600)).await }));
    assert!(
        text.contains("cannot wait for events any more: epoll_wait"),
        "{text}"
    );
}

#[test]
fn an_error_of_a_transfer_is_returned_by_that_transfer_only() {
    let (faults, _guard) = installed(Faults::default());
    run(async {
        let (server, client) = tcp_pair().await;
        for error in [
            libc::ECONNRESET,
            libc::ETIMEDOUT,
            libc::EHOSTUNREACH,
            libc::ENOMEM,
        ] {
            faults.fail("send", &[error]);
            let failed = client.write(b"lost").await.unwrap_err();
            assert_eq!(failed.raw_os_error(), Some(error));
            client.write_all(b"ping").await.unwrap();
            faults.fail("recv", &[error]);
            let failed = server.read(&mut [0; 4]).await.unwrap_err();
            assert_eq!(failed.raw_os_error(), Some(error));
            let mut got = [0; 4];
            server.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"ping");
        }
        // Nothing is left to shut down.
        faults.fail("shutdown", &[libc::ENOTCONN]);
        client.shutdown().await.unwrap();
    });
}

#[test]
fn an_answer_that_is_longer_than_the_buffer_is_cut() {
    struct Liar;
    impl Kernel for Liar {
        fn recv(&self, _: BorrowedFd<'_>, _: &mut [IoSliceMut<'_>], _: bool) -> Verdict<usize> {
            Verdict::Is(Ok(usize::MAX))
        }
        fn send(&self, _: BorrowedFd<'_>, _: &[IoSlice<'_>]) -> Verdict<usize> {
            Verdict::Is(Ok(usize::MAX))
        }
    }
    run(async {
        let (server, client) = tcp_pair().await;
        client.write_all(b"there").await.unwrap();
        server.readable().await.unwrap();
        let (_, _guard) = installed(Liar);
        assert_eq!(server.read(&mut [0; 4]).await.unwrap(), 4);
        assert_eq!(client.write(b"four").await.unwrap(), 4);
    });
}

#[test]
fn datagrams_are_cut_whichever_call_moves_them() {
    struct Cut;
    impl Kernel for Cut {
        fn send_to(&self, _: BorrowedFd<'_>, _: &[u8], _: &Address) -> Verdict<usize> {
            Verdict::Short(4)
        }
        fn recv_from(&self, _: BorrowedFd<'_>, _: &mut [u8], _: bool) -> Verdict<(usize, Address)> {
            Verdict::Short(3)
        }
    }
    let (_, _guard) = installed(Cut);
    run(async {
        let bind = || UdpSocket::bind("127.0.0.1:0");
        let (one, other) = (bind().await.unwrap(), bind().await.unwrap());
        let (from, to) = (one.local_addr().unwrap().ip(), other.local_addr().unwrap());
        let mut buf = [0; 9];
        assert_eq!(one.send_to(b"datagram", to).await.unwrap(), 4);
        assert_eq!(other.recv_from(&mut buf).await.unwrap().0, 3);
        assert_eq!(one.send_msg(b"datagram", to, Some(from)).await.unwrap(), 4);
        let received = other.recv_msg(&mut buf).await.unwrap();
        assert_eq!((received.len, received.truncated), (3, true));
    });
}

/// Says where each socket is.
struct Places(Inspected);

impl Kernel for Places {
    fn inspect(&self, _fd: RawFd) -> Verdict<Inspected> {
        Verdict::Is(Ok(self.0.clone()))
    }
}

#[test]
fn a_dump_shows_the_addresses_that_the_kernel_says() {
    let mut places = Inspected::default();
    let unnamed = UnixAddr::from_pathname("").unwrap();
    let shown = |places: &Inspected| {
        let (_, _guard) = installed(Places(places.clone()));
        let dump = wakeful::dump();
        let source = &dump.sources[0];
        let kind = source.kind.unwrap();
        (kind, source.local.clone(), source.peer.clone())
    };
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Nothing listens, says the kernel.
        assert_eq!(shown(&places), (SourceKind::TcpStream, None, None));
        (places.listens, places.local) = (true, Some(Address::Ip(([10, 0, 0, 1], 80).into())));
        places.peer = Some(Address::Unix(unnamed));
        let local = Some("10.0.0.1:80".to_owned());
        assert_eq!(shown(&places), (SourceKind::TcpListener, local, None));
        let named = UnixAddr::from_pathname("/a\x1bb").unwrap();
        let other = UnixAddr::from_abstract_name("b\n").unwrap();
        (places.local, places.peer) = (Some(Address::Unix(named)), Some(Address::Unix(other)));
        let [local, peer] = ["/a\\x1bb", "@b\\n"].map(|name| Some(name.to_owned()));
        assert_eq!(shown(&places), (SourceKind::TcpListener, local, peer));
        // Without a kernel it is Linux that is asked.
        let dump = wakeful::dump();
        let address = listener.local_addr().unwrap().to_string();
        assert_eq!(dump.sources[0].local.as_deref(), Some(&*address));
    });
}

#[test]
fn a_kernel_on_another_thread_is_not_asked() {
    let (faults, _guard) = installed(Faults::default());
    let other = std::thread::spawn(|| run(every_call()));
    other.join().unwrap();
    assert_eq!(lock(&faults.asked).len(), 0);
}

/// Notes each message, as the thread that sends it and the task that it concerns.
#[derive(Default)]
struct Messages(Mutex<Vec<(String, Option<String>)>>);

impl Kernel for Messages {
    fn message(&self, task: Option<&dyn Display>) {
        let thread = std::thread::current().name().unwrap().to_owned();
        lock(&self.0).push((thread, task.map(ToString::to_string)));
    }
}

#[test]
fn a_kernel_learns_of_each_message_of_another_thread_and_of_its_task() {
    let (messages, guard) = installed(Messages::default());
    let runtime = Runtime::new().unwrap();
    // It is that of the time at which the runtime was built.
    drop(guard);
    let handle = runtime.handle().clone();
    runtime.block_on(async {
        let task = wakeful::spawn(std::future::pending::<()>());
        let abort = task.abort_handle();
        let send = move || {
            abort.abort();
            handle.spawn(|| async {}).abort();
        };
        let thread = std::thread::Builder::new().name("sender".to_owned());
        thread.spawn(send).unwrap().join().unwrap();
        assert!(task.await.unwrap_err().is_cancelled());
        // On the runtime's own thread nothing is sent.
        wakeful::spawn(yield_now()).await.unwrap();
    });
    let sent = |task: Option<&str>| ("sender".to_owned(), task.map(str::to_owned));
    let messages = lock(&messages.0);
    assert_eq!(messages[..2], [sent(Some("1.0")), sent(None)]);
    assert!(messages.iter().all(|(thread, _)| thread == "sender"));
}

// --- time, order, closures, names, signals ----------------------------------------------------------

/// A kernel whose time moves in `wait`, to the next deadline.
#[derive(Default)]
struct Jumps {
    now_ns: AtomicU64,
    waits: AtomicU64,
}

impl Kernel for Jumps {
    fn now_ns(&self) -> Option<u64> {
        Some(self.now_ns.load(Ordering::Relaxed))
    }

    fn wait(&self, wait: &mut Wait<'_>) -> io::Result<()> {
        self.waits.fetch_add(1, Ordering::Relaxed);
        let limit = wait.limit().expect("a deadline");
        self.now_ns
            .fetch_add(limit.as_nanos() as u64, Ordering::Relaxed);
        wait.real(Some(Duration::ZERO))
    }
}

#[test]
fn the_kernels_time_moves_in_waits_and_fifty_days_take_few_turns() {
    let (kernel, _guard) = installed(Jumps::default());
    kernel.now_ns.store(77, Ordering::Relaxed);
    runtime().block_on(async {
        let start = Instant::now();
        let days = Duration::from_secs(50 * 24 * 3600) + Duration::from_nanos(1);
        sleep(days).await;
        assert_eq!(start.elapsed(), days);
        let mut ticks = wakeful::time::interval(secs(1));
        for _ in 0..10 {
            ticks.tick().await;
        }
        assert_eq!(start.elapsed(), days + secs(9));
    });
    let waits = kernel.waits.load(Ordering::Relaxed);
    assert!(waits < 40, "{waits}");
}

#[test]
fn a_recording_has_the_times_of_the_kernels_clock() {
    const NANOSECONDS: u32 = 2;
    const ANOTHER_CLOCK: u32 = 4;
    let (_kernel, _guard) = installed(Jumps::default());
    let settings = wakeful::trace::Recording::new();
    let runtime = Builder::new().record(settings).build().unwrap();
    let bytes = runtime.block_on(async {
        sleep(secs(3600)).await;
        wakeful::trace::snapshot().unwrap()
    });
    let recording = Recording::read(bytes);
    assert_eq!(recording.u32(72), NANOSECONDS);
    assert_eq!(recording.u32(76), ANOTHER_CLOCK);
    assert_eq!(recording.events[0].time, 0);
    assert!(recording.events.last().unwrap().time >= 3_600_000_000_000);
}

/// Records each runtime in a file of its own.
struct Records {
    folder: PathBuf,
    runtimes: AtomicU64,
}

impl Kernel for Records {
    fn recording(&self) -> Option<PathBuf> {
        let number = self.runtimes.fetch_add(1, Ordering::Relaxed);
        Some(self.folder.join(format!("{number}.wtr")))
    }
}

#[test]
fn a_kernel_can_record_each_runtime_that_has_no_recording_of_its_own() {
    let folder = TempDir::new();
    let (kernel, guard) = installed(Records {
        folder: folder.path().to_owned(),
        runtimes: AtomicU64::new(0),
    });
    for mark in ["one", "two"] {
        runtime().block_on(async { wakeful::trace::mark(mark) });
    }
    let own = wakeful::trace::Recording::new();
    drop(Builder::new().record(own).build().unwrap());
    assert_eq!(kernel.runtimes.load(Ordering::Relaxed), 2);
    drop(guard);
    assert!(!runtime().block_on(async { wakeful::trace::is_recording() }));
    for (file, mark) in [("0.wtr", "one"), ("1.wtr", "two")] {
        let bytes = std::fs::read(folder.path().join(file)).unwrap();
        let recording = Recording::read(bytes);
        assert!(recording.texts.iter().any(|text| text == mark), "{file}");
    }
}

#[test]
fn a_dump_counts_from_the_time_at_which_it_is_made() {
    let (kernel, _guard) = installed(Jumps::default());
    runtime().block_on(async {
        let mut timer = Box::pin(sleep(secs(60)));
        assert!(poll_once(&mut timer).await.is_pending());
        // The poll takes five seconds.
        kernel.now_ns.fetch_add(5_000_000_000, Ordering::Relaxed);
        let dump = wakeful::dump();
        assert_eq!((dump.at, dump.timers[0].due), (secs(5), Some(secs(55))));
        wakeful::time::pause();
        kernel.now_ns.fetch_add(5_000_000_000, Ordering::Relaxed);
        let dump = wakeful::dump();
        assert_eq!((dump.at, dump.timers[0].due), (secs(5), Some(secs(55))));
    });
}

#[test]
fn a_clock_of_the_kernel_can_be_paused_and_resumed() {
    let (kernel, _guard) = installed(Jumps::default());
    runtime().block_on(async {
        let start = Instant::now();
        wakeful::time::pause();
        kernel.now_ns.fetch_add(1_000, Ordering::Relaxed);
        assert_eq!(start.elapsed(), Duration::ZERO);
        wakeful::time::resume();
        kernel.now_ns.fetch_add(500, Ordering::Relaxed);
        assert_eq!(start.elapsed(), Duration::from_nanos(500));
    });
}

/// Makes the choices in a list, then the plain ones.
#[derive(Default)]
struct Chooses {
    choices: Mutex<VecDeque<u32>>,
    asked: Mutex<Vec<(Choice, u32)>>,
}

impl Kernel for Chooses {
    fn chooses(&self) -> bool {
        true
    }

    fn choose(&self, choice: Choice, of: u32) -> u32 {
        lock(&self.asked).push((choice, of));
        lock(&self.choices).pop_front().unwrap_or(0)
    }
}

/// Returns the order in which four tasks and their root are polled.
fn order_of(choices: &[u32]) -> (Vec<String>, Vec<(Choice, u32)>) {
    let kernel = Chooses::default();
    lock(&kernel.choices).extend(choices);
    let (kernel, _guard) = installed(kernel);
    let trace = Trace::new();
    let runtime = runtime();
    for name in ["a", "b", "c", "d"] {
        let trace = trace.clone();
        runtime.spawn(async move { trace.push(name) });
    }
    runtime.block_on(async { trace.push("root") });
    runtime.block_on(async { yield_now().await });
    (trace.take(), lock(&kernel.asked).clone())
}

#[test]
fn a_kernel_chooses_the_next_task_and_0_is_the_plain_order() {
    use Choice::{EndTick, NextTask};
    let (order, asked) = order_of(&[]);
    assert_eq!(order, ["root", "a", "b", "c", "d"]);
    assert_eq!(asked[..2], [(EndTick, 2), (NextTask, 5)]);
    // Only the chosen one leaves its place.
    let (order, _) = order_of(&[0, 2]);
    assert_eq!(order, ["b", "root", "a", "c", "d"]);
    // More than there are: the last one.
    let (order, _) = order_of(&[0, 99]);
    assert_eq!(order, ["d", "root", "a", "b", "c"]);
    // The tick ends twice, which changes no order.
    let (order, asked) = order_of(&[1, 1]);
    assert_eq!(order, ["root", "a", "b", "c", "d"]);
    let expected = [(EndTick, 2), (EndTick, 2), (EndTick, 2), (NextTask, 5)];
    assert_eq!(asked[..4], expected);
}

#[test]
fn a_kernel_can_run_the_closures_of_the_blocking_pool() {
    struct Inline;
    impl Kernel for Inline {
        fn blocking(&self, work: Work) -> Result<(), Work> {
            work.run();
            Ok(())
        }
    }
    let (_, _guard) = installed(Inline);
    let runtime = runtime();
    runtime.block_on(async {
        let thread = std::thread::current().id();
        let ran_on = spawn_blocking(|| std::thread::current().id())
            .await
            .unwrap();
        assert_eq!(ran_on, thread);
        let panicked = spawn_blocking(|| panic!("in a closure")).await;
        assert!(panicked.unwrap_err().is_panic());
    });
    assert_eq!(runtime.metrics().num_blocking_threads, 0);
}

#[test]
fn a_closure_that_a_kernel_drops_is_an_error_and_no_endless_wait() {
    struct Drops;
    impl Kernel for Drops {
        fn blocking(&self, _work: Work) -> Result<(), Work> {
            Ok(())
        }
    }
    let (_, _guard) = installed(Drops);
    let error = run(async { spawn_blocking(|| ()).await }).unwrap_err();
    assert!(!error.is_panic() && !error.is_cancelled());
    assert!(error.to_string().contains("installed kernel dropped"));
}

#[test]
fn a_kernel_can_resolve_names() {
    struct Names;
    impl Kernel for Names {
        fn resolve(&self, host: &str) -> Verdict<Vec<IpAddr>> {
            match host {
                "server" => Verdict::Is(Ok(vec![Ipv4Addr::new(10, 0, 0, 1).into()])),
                "localhost" => Verdict::Real,
                _ => Verdict::Is(Err(ErrorKind::NotFound.into())),
            }
        }
    }
    let (_, _guard) = installed(Names);
    run(async {
        let found: Vec<_> = lookup_host("server:7000").await.unwrap().collect();
        assert_eq!(found, ["10.0.0.1:7000".parse().unwrap()]);
        assert!(lookup_host("localhost:80").await.unwrap().count() > 0);
        let error = TcpStream::connect("nowhere:1").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(
            error.to_string().starts_with("look up nowhere:1"),
            "{error}"
        );
    });
}

#[test]
fn a_name_that_a_kernel_resolves_takes_an_operation_off_the_budget() {
    struct Here;
    impl Kernel for Here {
        fn resolve(&self, _host: &str) -> Verdict<Vec<IpAddr>> {
            Verdict::Is(Ok(vec![Ipv4Addr::LOCALHOST.into()]))
        }
    }
    let (_, _guard) = installed(Here);
    run(async {
        let other = wakeful::spawn(async {});
        for lookups in 0.. {
            if other.is_finished() {
                break;
            }
            assert!(lookups < 1000, "no other task runs");
            lookup_host("server:80").await.unwrap();
        }
    });
}

#[test]
fn a_kernel_can_catch_signals() {
    #[derive(Default)]
    struct Signals {
        count: AtomicU64,
        token: AtomicU64,
    }
    impl Kernel for Signals {
        fn caught(&self, signal: i32) -> Option<u64> {
            (signal == libc::SIGTERM).then(|| self.count.load(Ordering::Relaxed))
        }
        fn watch(&self, _: BorrowedFd<'_>, _: BorrowedFd<'_>, token: u64, _: u32) -> Verdict<()> {
            // The last descriptor that is watched is that of signals.
            self.token.store(token, Ordering::Relaxed);
            Verdict::Real
        }
        fn wait(&self, wait: &mut Wait<'_>) -> io::Result<()> {
            if wait.limit().is_none() {
                self.count.fetch_add(1, Ordering::Relaxed);
                let (token, flags) = (self.token.load(Ordering::Relaxed), libc::EPOLLIN as u32);
                assert!(wait.push(Event { token, flags }));
                return Ok(());
            }
            wait.real(Some(Duration::ZERO))
        }
    }
    let (kernel, _guard) = installed(Signals::default());
    runtime().block_on(async {
        let mut terminate = signal(SignalKind::terminate()).unwrap();
        terminate.recv().await.unwrap();
        terminate.recv().await.unwrap();
    });
    assert_eq!(kernel.count.load(Ordering::Relaxed), 2);
}

#[test]
fn a_kernel_that_is_removed_before_its_runtime_leaves_a_runtime_that_ends() {
    let (kernel, guard) = installed(Jumps::default());
    let runtime = Builder::new().build().unwrap();
    runtime.block_on(yield_now());
    drop((kernel, guard));
    runtime.spawn(std::future::pending::<()>());
    runtime.block_on(yield_now());
    drop(runtime);
}
