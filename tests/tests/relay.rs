//! `wakeful_net::io::copy_bidirectional`: every byte, in order, through buffers and through pipes.
//!
//! Each test has a client and a server, and a relay between them:
//!
//! ```text
//!   client <---> (outside, inside) <---> server
//! ```

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::Future;
use std::io::{ErrorKind, Write as _};
use std::os::fd::{AsFd, AsRawFd};
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::SockRef;
use wakeful::io::{AsyncRead, AsyncWrite};
use wakeful::runtime::Builder;
use wakeful::{spawn, trace};
use wakeful_net::io::copy_bidirectional;
use wakeful_net::{TcpStream, UnixStream};
use wakeful_tests::net_support::{TempDir, pattern, run, settle, tcp_and_std, tcp_pair};
use wakeful_tests::recording::{Event, Recording};
use wakeful_tests::trace::{alone, poll_once};

/// More than a pipe holds many times over.
const MUCH: usize = 2 << 20;

/// Enough to change over to a pipe, and less than the buffers of two Unix streams hold.
const SOME: usize = 150_000;

/// More than the splices that [`MUCH`] takes.
const SMALL_PIECES: usize = 1_000;

/// Returns the number of pipes that this process has open.
fn open_pipes() -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let is_pipe = |target: &std::path::PathBuf| target.to_string_lossy().starts_with("pipe:");
    let targets = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    // Each has two descriptors. Those of standard streams are not the relay's.
    let outside = (0..3).filter_map(|fd| std::fs::read_link(format!("/proc/self/fd/{fd}")).ok());
    (targets.filter(is_pipe).count() - outside.filter(is_pipe).count()) / 2
}

/// Writes all bytes and shuts down the writing direction.
async fn send<S: AsyncWrite + Unpin>(mut to: S, bytes: &[u8]) {
    to.write_all(bytes).await.unwrap();
    to.close().await.unwrap();
}

/// Reads until the end of the stream.
async fn receive<S: AsyncRead + Unpin>(mut from: S) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).await.unwrap();
    bytes
}

/// Reads exactly `len` bytes.
async fn take<S: AsyncRead + Unpin>(mut from: S, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    from.read_exact(&mut bytes).await.unwrap();
    bytes
}

/// Runs two futures until both have ended.
async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    futures_lite::future::zip(a, b).await
}

/// Sends bytes through a relay in both directions at once.
macro_rules! passes_on {
    ($client:expr, $outside:expr, $inside:expr, $server:expr, $len:expr) => {{
        let (client, outside, inside, server) = ($client, $outside, $inside, $server);
        let (question, answer) = (pattern($len, 1), pattern($len / 2, 2));
        let relay = copy_bidirectional(&outside, &inside);
        let sent = both(send(&client, &question), send(&server, &answer));
        let received = both(receive(&server), receive(&client));
        let (copied, (_, (at_server, at_client))) = both(relay, both(sent, received)).await;
        assert!(
            at_server == question && at_client == answer,
            "{} bytes",
            $len
        );
        assert_eq!(copied.unwrap(), ($len as u64, $len as u64 / 2));
    }};
}

#[test]
fn every_byte_arrives_in_order_for_every_pair_of_streams() {
    run(async {
        for len in [0, 1, 16_383, 16_384, 16_385, 70_000, MUCH] {
            let (a, b) = (tcp_pair().await, tcp_pair().await);
            passes_on!(a.0, a.1, b.0, b.1, len);
            let (a, b) = (tcp_pair().await, UnixStream::pair().unwrap());
            passes_on!(a.0, a.1, b.0, b.1, len);
            let (a, b) = (UnixStream::pair().unwrap(), tcp_pair().await);
            passes_on!(a.0, a.1, b.0, b.1, len);
            let (a, b) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
            passes_on!(a.0, a.1, b.0, b.1, len);
        }
    });
}

#[test]
fn pieces_of_changing_sizes_are_passed_on_at_once() {
    run(async {
        let ((client, outside), (inside, server)) = (tcp_pair().await, tcp_pair().await);
        let relay = spawn(async move { copy_bidirectional(&outside, &inside).await });
        for len in [
            1, 100_000, 10, 16_384, 16_384, 1, 50_000, 20_000, 3, 300_000, 7,
        ] {
            let piece = pattern(len, len as u64);
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (sent, received) = both(from.write_all(&piece), take(to, len)).await;
                sent.unwrap();
                assert!(received == piece, "{len}");
            }
        }
        drop((client, server));
        let sum = 1 + 100_000 + 10 + 2 * 16_384 + 1 + 50_000 + 20_000 + 3 + 300_000 + 7;
        assert_eq!(relay.await.unwrap().unwrap(), (sum, sum));
    });
}

#[test]
fn a_half_close_is_passed_on_and_the_other_direction_goes_on() {
    run(async {
        for client_first in [true, false] {
            let ((client, outside), (inside, server)) = (tcp_pair().await, tcp_pair().await);
            let relay = spawn(async move { copy_bidirectional(&outside, &inside).await });
            let (first, second) = match client_first {
                true => (&client, &server),
                false => (&server, &client),
            };
            let bytes = pattern(SOME, 3);
            let (_, received) = both(send(first, &bytes), receive(second)).await;
            assert_eq!(received.len(), SOME);
            assert!(!relay.is_finished(), "one direction is open");
            let (_, received) = both(send(second, &bytes), receive(first)).await;
            assert!(received == bytes);
            let expected = SOME as u64;
            assert_eq!(relay.await.unwrap().unwrap(), (expected, expected));
        }
    });
}

/// Writes pieces of an endless pattern until the stream accepts no more for many turns. Returns what it
/// accepted.
async fn fill(stream: &TcpStream) -> Vec<u8> {
    let (piece, mut accepted, mut refused) = (pattern(65_521, 4), Vec::new(), 0);
    while refused < 100 {
        let offset = accepted.len() % piece.len();
        match stream.try_write(&piece[offset..]) {
            Ok(n) => {
                accepted.extend_from_slice(&piece[offset..offset + n]);
                refused = 0;
            }
            Err(_) => refused += 1,
        }
        wakeful::task::yield_now().await;
    }
    accepted
}

#[test]
fn a_slow_reader_stops_the_sender_and_loses_nothing() {
    run(async {
        let ((client, outside), (inside, server)) = (tcp_pair().await, tcp_pair().await);
        let relay = spawn(async move { copy_bidirectional(&outside, &inside).await });
        // Ends, although the server reads nothing: what is on the way is bounded.
        let accepted = fill(&client).await;
        // The opposite direction is not delayed.
        server.write_all(b"answer").await.unwrap();
        assert_eq!(take(&client, 6).await, b"answer");
        let (_, received) = both(client.shutdown(), receive(&server)).await;
        assert!(received == accepted);
        drop((client, server));
        let copied = relay.await.unwrap().unwrap();
        assert_eq!(copied, (accepted.len() as u64, 6));
    });
}

#[test]
fn pipes_are_opened_for_bulk_only_and_closed_with_the_last_relay() {
    alone(|| {
        run(async {
            let ((client, outside), (inside, server)) = (tcp_pair().await, tcp_pair().await);
            let relay = spawn(async move { copy_bidirectional(&outside, &inside).await });
            let pipes = || (open_pipes(), relay.is_finished());
            client.write_all(&pattern(16_000, 5)).await.unwrap();
            take(&server, 16_000).await;
            assert_eq!(pipes(), (0, false), "small pieces");

            let bytes = pattern(MUCH, 6);
            let (sent, received) = both(client.write_all(&bytes), take(&server, MUCH)).await;
            sent.unwrap();
            assert!(received == bytes);
            assert_eq!(pipes(), (1, false), "the pipe is kept for the next use");

            drop((client, server));
            relay.await.unwrap().unwrap();
            assert_eq!(open_pipes(), 0);
        });
    });
}

#[test]
fn more_slow_readers_than_pipes_are_served_too() {
    alone(|| {
        run(async {
            let mut streams = Vec::new();
            for _ in 0..70 {
                let (client, outside) = UnixStream::pair().unwrap();
                let (inside, server) = UnixStream::pair().unwrap();
                let relay = spawn(async move { copy_bidirectional(&outside, &inside).await });
                let bytes = vec![streams.len() as u8; 700_000];
                let sender = {
                    let bytes = bytes.clone();
                    spawn(async move { send(client, &bytes).await })
                };
                streams.push((bytes, relay, sender, server));
            }
            for _ in 0..200 {
                wakeful::task::yield_now().await;
            }
            assert_eq!(open_pipes(), 64);
            for (bytes, relay, sender, server) in streams {
                assert!(receive(&server).await == bytes);
                drop(server);
                sender.await.unwrap();
                assert_eq!(relay.await.unwrap().unwrap(), (700_000, 0));
            }
            assert_eq!(open_pipes(), 0);
        });
    });
}

#[test]
fn without_a_free_descriptor_bytes_are_copied() {
    alone(|| {
        run(async {
            let ((client, outside), (inside, server)) = (tcp_pair().await, tcp_pair().await);
            let limit = getrlimit(Resource::Nofile);
            let none = Rlimit {
                current: Some(3),
                ..limit
            };
            setrlimit(Resource::Nofile, none).unwrap();
            passes_on!(client, outside, inside, server, MUCH);
            setrlimit(Resource::Nofile, limit).unwrap();
        });
    });
}

#[test]
fn a_canceled_relay_closes_a_pipe_with_bytes() {
    alone(|| {
        run(async {
            let ((client, outside), (inside, server)) = (tcp_pair().await, tcp_pair().await);
            // A second relay, so that the pipes are kept.
            let (other, other_outside) = tcp_pair().await;
            let (other_inside, other_server) = tcp_pair().await;
            let second =
                spawn(async move { copy_bidirectional(&other_outside, &other_inside).await });
            let bytes = pattern(MUCH, 7);
            let (sent, received) = both(other.write_all(&bytes), take(&other_server, MUCH)).await;
            sent.unwrap();
            assert!(received == bytes);
            assert_eq!(open_pipes(), 1);

            let relay = spawn(async move {
                let mut relay = copy_bidirectional(&outside, &inside);
                poll_once(&mut relay).await.is_pending().then_some(())?;
                relay.await.ok()
            });
            let accepted = fill(&client).await;
            assert_eq!(open_pipes(), 1, "the first relay has it, with bytes");
            relay.abort();
            assert!(relay.await.unwrap_err().is_cancelled());
            assert_eq!(open_pipes(), 0);

            // What the canceled relay had not written does not reach another connection.
            assert!(receive(&server).await.len() < accepted.len());
            let (sent, received) = both(other.write_all(&bytes), take(&other_server, MUCH)).await;
            sent.unwrap();
            assert!(received == bytes);
            drop((other, other_server));
            second.await.unwrap().unwrap();
        });
    });
}

#[test]
fn a_reset_of_the_receiver_ends_a_relay_that_waits_for_it() {
    run(async {
        {
            let (outside, client) = tcp_and_std().await;
            let (inside, server) = tcp_and_std().await;
            client.set_nonblocking(true).unwrap();
            let mut relay = copy_bidirectional(&outside, &inside);
            // Until the pipe is full and the server's buffers are.
            let bytes = pattern(1 << 20, 8);
            let mut refused = 0;
            while refused < 100 {
                refused = if (&client).write(&bytes).is_ok() {
                    0
                } else {
                    refused + 1
                };
                assert!(poll_once(&mut relay).await.is_pending());
                wakeful::task::yield_now().await;
            }
            SockRef::from(&server)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
            drop(server);
            let kind = relay.await.unwrap_err().kind();
            assert!(
                matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
                "{kind:?}"
            );
        }
    });
}

#[test]
fn a_reset_of_the_source_is_reported() {
    run(async {
        let (outside, mut client) = tcp_and_std().await;
        let (inside, server) = tcp_pair().await;
        let relay = spawn(async move { copy_bidirectional(&outside, &inside).await });
        client.write_all(&pattern(SOME, 9)).unwrap();
        take(&server, SOME).await;
        SockRef::from(&client)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(client);
        let kind = relay.await.unwrap().unwrap_err().kind();
        assert_eq!(kind, ErrorKind::ConnectionReset);
        // The relay has dropped its streams.
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    });
}

#[test]
fn a_closed_receiver_raises_no_sigpipe() {
    alone(|| {
        let raised = Arc::new(AtomicBool::new(false));
        let sigpipe = signal_hook::consts::SIGPIPE;
        signal_hook::flag::register(sigpipe, Arc::clone(&raised)).unwrap();
        run(async {
            let (client, outside) = UnixStream::pair().unwrap();
            let (inside, server) = UnixStream::pair().unwrap();
            // The last receive fills the buffer, so what follows goes through a pipe.
            let bytes = pattern(32 << 10, 10);
            let mut relay = copy_bidirectional(&outside, &inside);
            client.write_all(&bytes).await.unwrap();
            settle().await;
            assert!(poll_once(&mut relay).await.is_pending());
            take(&server, bytes.len()).await;
            drop(server);
            client.write_all(&bytes).await.unwrap();
            assert_eq!(relay.await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        });
        assert!(!raised.load(Ordering::SeqCst), "SIGPIPE");
        signal_hook::low_level::raise(sigpipe).unwrap();
        assert!(raised.load(Ordering::SeqCst), "a signal is caught again");
    });
}

#[test]
fn bytes_behind_urgent_data_are_passed_on() {
    run(async {
        let ((client, outside), (inside, server)) = (tcp_pair().await, tcp_pair().await);
        let relay = spawn(async move { copy_bidirectional(&outside, &inside).await });
        let (before, after) = (pattern(SOME, 11), pattern(SOME, 12));
        for round in 0..3 {
            let (sent, received) = both(client.write_all(&before), take(&server, SOME)).await;
            sent.unwrap();
            assert!(received == before, "{round}");
            let urgent = SockRef::from(&client).send_out_of_band(b"!").unwrap();
            assert_eq!(urgent, 1);
            let (sent, received) = both(client.write_all(&after), take(&server, SOME)).await;
            sent.unwrap();
            assert!(received == after, "{round}");
        }
        drop((client, server));
        relay.await.unwrap().unwrap();
    });
}

#[test]
fn a_large_splice_takes_more_than_one_operation_off_the_budget() {
    let runtime = wakeful::runtime::Builder::new()
        .io_budget(4)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, outside) = UnixStream::pair().unwrap();
        let (inside, server) = UnixStream::pair().unwrap();
        for stream in [client.as_fd(), inside.as_fd()] {
            SockRef::from(&stream)
                .set_send_buffer_size(1 << 20)
                .unwrap();
        }
        let bytes = pattern(160_000, 13);
        assert_eq!(client.try_write(&bytes).unwrap(), bytes.len());
        client.shutdown().await.unwrap();
        let mut relay = pin!(copy_bidirectional(&outside, &inside));
        let (mut polls, mut received) = (0, 0);
        while received < bytes.len() {
            settle().await;
            assert!(poll_once(&mut relay).await.is_pending());
            polls += 1;
            received += server.try_read(&mut [0; 1 << 18]).unwrap_or(0);
        }
        // A receive, a send, and two splices of 64 KiB and more each way would be two polls.
        assert!(
            polls > 2,
            "{polls} polls for 160,000 bytes and 4 operations each"
        );
    });
}

/// Set in a process that strace traces.
const TRACED: &str = "WAKEFUL_TEST_TRACED";

/// Repeats a test under strace and returns the calls. Prints a message where strace is missing or may not
/// trace.
fn traced(test: &str, options: &[&str]) -> Option<String> {
    let directory = TempDir::new();
    let log = directory.join("trace");
    let output = Command::new("strace")
        .args(["-f", "-q", "-o"])
        .arg(&log)
        .args(options)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1"])
        .env(TRACED, "1")
        .output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: strace is missing");
        return None;
    };
    let trace = std::fs::read_to_string(&log).unwrap_or_default();
    let text = String::from_utf8_lossy(&output.stderr);
    if text.contains("ptrace") {
        eprintln!("SKIPPED: {text}");
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = output.status.success() && text.contains("1 passed");
    assert!(passed, "{options:?}: {text}");
    Some(trace)
}

/// Repeats a test under strace, with a fault in some calls of the relay.
fn with_fault(test: &str, inject: &str) {
    let call = inject.split(':').next().unwrap();
    let (trace, fault) = (format!("trace={call}"), format!("inject={inject}"));
    if let Some(trace) = traced(test, &["-e", &trace, "-e", &fault]) {
        assert!(trace.contains("(INJECTED)"), "{inject}: no fault: {trace}");
    }
}

/// Returns the path of a test in this program.
fn path_of<F>(_test: F) -> String {
    let path = std::any::type_name::<F>();
    path.split_once("::")
        .map_or(path, |(_, path)| path)
        .to_owned()
}

#[test]
fn bytes_are_copied_where_splice_is_not_available() {
    let every_pair = path_of(every_byte_arrives_in_order_for_every_pair_of_streams);
    with_fault(&every_pair, "splice:error=EINVAL");
    let test = path_of(pieces_of_changing_sizes_are_passed_on_at_once);
    for errno in ["EINVAL", "ENOSYS", "EPERM"] {
        with_fault(&test, &format!("splice:error={errno}"));
        // The first succeeds, so that the second, out of the pipe, is refused.
        with_fault(&test, &format!("splice:error={errno}:when=2"));
    }
    with_fault(&test, "pipe2:error=EMFILE");
}

#[test]
fn interrupted_and_fruitless_splices_are_repeated() {
    let test = path_of(pieces_of_changing_sizes_are_passed_on_at_once);
    with_fault(&test, "splice:error=EINTR:when=1+3");
    with_fault(&test, "splice:error=EINTR:when=2+5");
    // Into a pipe only: a socket that is full would report that it has room again.
    with_fault(&test, "splice:error=EAGAIN:when=1");
}

#[test]
fn other_errors_of_splice_end_the_relay() {
    if std::env::var_os(TRACED).is_none() {
        let test = path_of(other_errors_of_splice_end_the_relay);
        with_fault(&test, "splice:error=EIO:when=1");
        with_fault(&test, "splice:error=EIO:when=2");
        return;
    }
    run(async {
        let ((client, outside), (inside, server)) = (tcp_pair().await, tcp_pair().await);
        let relay = spawn(async move { copy_bidirectional(&outside, &inside).await });
        client.write_all(&pattern(SOME, 14)).await.unwrap();
        let error = relay.await.unwrap().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EIO));
        drop(server);
    });
}

#[test]
fn many_small_pieces_after_bulk_arrive() {
    run(async {
        let ((client, outside), (inside, server)) = (tcp_pair().await, tcp_pair().await);
        let relay = spawn(async move { copy_bidirectional(&outside, &inside).await });
        let bytes = pattern(MUCH, 15);
        let (sent, received) = both(client.write_all(&bytes), take(&server, MUCH)).await;
        sent.unwrap();
        assert!(received == bytes);
        for _ in 0..SMALL_PIECES {
            client.write_all(b"piece").await.unwrap();
            assert_eq!(take(&server, 5).await, b"piece");
        }
        drop((client, server));
        relay.await.unwrap().unwrap();
    });
}

#[test]
fn small_pieces_after_bulk_are_not_spliced() {
    let test = path_of(many_small_pieces_after_bulk_arrive);
    if let Some(trace) = traced(&test, &["-e", "trace=splice"]) {
        let splices = trace
            .lines()
            .filter(|line| line.contains("splice("))
            .count();
        assert!((2..SMALL_PIECES).contains(&splices), "{splices} splices");
    }
}

#[test]
fn a_relay_whose_runtime_records_splices_too_and_its_splices_are_recorded() {
    const RECEIVE: u8 = 1;
    const OPERATION: u8 = 12;
    let settings = trace::Recording::new();
    let runtime = Builder::new().record(settings).build().unwrap();
    runtime.block_on(async {
        let ((client, outside), (inside, server)) = (tcp_pair().await, tcp_pair().await);
        let fd = outside.as_fd().as_raw_fd().cast_unsigned();
        passes_on!(client, outside, inside, server, MUCH);
        let recording = Recording::read(trace::snapshot().unwrap());
        // A receive into the relay's buffer has at most 16 KiB.
        let is_splice = |event: &&Event| {
            event.x == fd && event.a == RECEIVE && event.y.cast_signed() > 16 * 1024
        };
        assert!(recording.of_kind(OPERATION).any(|event| is_splice(&event)));
    });
}
