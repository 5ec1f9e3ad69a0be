//! Recordings: what is in them, that they agree with the counters, and how they are read while they are
//! written or after the process was killed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, File};
use std::future::{pending, poll_fn};
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::task::Poll;
use std::thread;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use wakeful::runtime::{Builder, Handle};
use wakeful::signal::unix::{SignalKind, signal};
use wakeful::task::{JoinSet, spawn_blocking, yield_now};
use wakeful::time::{Duration, sleep, timeout};
use wakeful::trace::{self, Operation};
use wakeful::{io::duplex, spawn};
use wakeful_net::{TcpListener, TcpStream, UdpSocket, UnixDatagram};
use wakeful_tests::net_support::TempDir;
use wakeful_tests::recording::{Event, NO_TASK, ROOT, Recording};
use wakeful_tests::trace::{alone, runtime, secs, stderr};

/// Returns the recording of this thread's runtime.
#[track_caller]
fn recorded() -> Recording {
    Recording::read(trace::snapshot().expect("the runtime records"))
}

fn small() -> trace::Recording {
    trace::Recording::new().events(1 << 12)
}

// --- what is recorded -------------------------------------------------------------------------------

#[test]
fn a_recording_has_each_step_of_a_task_in_order() {
    let runtime = Builder::new().start_paused(true).record(small()).build();
    let lines = runtime.unwrap().block_on(async {
        let sleeper = wakeful::task::Builder::new()
            .name("sleeper")
            .spawn(async {
                let span = trace::span("parse");
                sleep(secs(1)).await;
                drop(span);
            })
            .unwrap();
        sleeper.await.unwrap();
        trace::mark("over");
        recorded().lines()
    });
    let expected = [
        "poll root cause 0 0",
        "spawn 1 recordings",
        "name 1 sleeper",
        "wait root JoinHandle",
        "on 3 1 recordings",
        "end root pending",
        "poll 1 cause 0 0",
        "span 1 parse",
        "armed 0 1000",
        "wait 1 sleep",
        "on 2 0 recordings",
        "end 1 pending",
        "turn 0 0",
        "turn end 0 0",
        "fired none 1",
        "poll 1 cause 2 0",
        "span end 1 parse",
        "end 1 ready",
        "wake root 1",
        "poll root cause 3 1",
        "mark root over",
    ];
    assert_eq!(lines, expected, "{lines:#?}");
}

#[test]
fn the_time_until_a_timer_is_due_counts_from_its_event() {
    const ARMED: u8 = 10;
    let runtime = Builder::new().record(small()).build();
    let recording = runtime.unwrap().block_on(async {
        // A poll that takes longer than the rounding. The clock is real, because the times of a paused one are those
        // of the last turn.
        let begin = std::time::Instant::now();
        while begin.elapsed() < Duration::from_millis(5) {}
        let mut timer = Box::pin(sleep(secs(1)));
        assert!(
            wakeful_tests::trace::poll_once(&mut timer)
                .await
                .is_pending()
        );
        recorded()
    });
    let armed = recording.of_kind(ARMED).next().unwrap();
    assert!(armed.y <= 1_000, "due in {} ms", armed.y);
    assert_eq!(recording.u32(76), 0, "the clock is the system's");
}

#[test]
fn polls_that_panic_or_are_aborted_end_as_such() {
    let runtime = Builder::new().record(small()).build().unwrap();
    let lines = runtime.block_on(async {
        spawn(async { panic!("expected by the test") })
            .await
            .unwrap_err();
        let aborted = spawn(pending::<()>());
        yield_now().await;
        aborted.abort();
        aborted.await.unwrap_err();
        recorded().lines()
    });
    let ends: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("end 1"))
        .collect();
    assert_eq!(ends, ["end 1 panicked", "end 1 pending", "end 1 aborted"]);
    assert!(lines.contains(&"wake 1 none".to_owned()), "{lines:#?}");
}

#[test]
fn operations_of_sockets_have_their_bytes_and_errors() {
    let runtime = Builder::new().record(small()).build().unwrap();
    let (recording, fds, peer) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        client.write_all(b"hello").await.unwrap();
        let mut buf = [0; 64];
        server.read_exact(&mut buf[..5]).await.unwrap();
        server.try_read(&mut buf).unwrap_err();
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        udp.send_to(b"abc", udp.local_addr().unwrap())
            .await
            .unwrap();
        udp.recv_from(&mut buf).await.unwrap();
        udp.connect(udp.local_addr().unwrap()).await.unwrap();
        let dir = TempDir::new();
        let unix = UnixDatagram::unbound().unwrap();
        unix.connect(dir.join("missing")).unwrap_err();
        let fds = [
            listener.as_raw_fd(),
            client.as_raw_fd(),
            server.as_raw_fd(),
            udp.as_raw_fd(),
            unix.as_raw_fd(),
        ];
        drop(udp);
        (recorded(), fds, peer)
    });
    let lines = recording.lines();
    let [listener, client, server, udp, unix] = fds;
    for line in [
        format!("operation 4 fd {client} -{}", libc::EINPROGRESS),
        format!("operation 3 fd {listener} {server}"),
        format!("peer fd {server} {peer}"),
        format!("operation 2 fd {client} 5"),
        format!("operation 1 fd {server} 5"),
        format!("operation 2 fd {udp} 3"),
        format!("operation 1 fd {udp} 3"),
        format!("operation 4 fd {udp} 0"),
        format!("operation 4 fd {unix} -{}", libc::ENOENT),
    ] {
        assert!(lines.contains(&line), "{line} is not in {lines:#?}");
    }
    let of_udp = |kind| {
        recording
            .of_kind(kind)
            .filter(move |event| event.x == udp as u32)
            .count()
    };
    assert_eq!((of_udp(16), of_udp(17)), (1, 1), "added and removed");
}

#[test]
fn a_closure_has_the_times_of_its_thread() {
    let runtime = Builder::new().record(small()).build().unwrap();
    let recording = runtime.block_on(async {
        spawn_blocking(|| ()).await.unwrap();
        recorded()
    });
    let [began, ended] = [13, 14].map(|kind| *recording.of_kind(kind).next().unwrap());
    assert_eq!((began.x, began.y, ended.x, ended.y), (1, 1, 1, 1));
    // The thread can begin before the task is spawned that waits for it.
    assert!(began.time <= ended.time);
    let before = recording.events[began.number as usize - 1];
    assert!(ended.time < before.time, "they were recorded later");
}

#[test]
fn messages_of_other_threads_are_recorded_by_kind() {
    let runtime = Builder::new().record(small()).build().unwrap();
    let handle: Handle = runtime.handle().clone();
    let recording = runtime.block_on(async {
        let spawned = thread::spawn(move || handle.spawn(|| async {}));
        drop(spawned.join().unwrap());
        yield_now().await;
        recorded()
    });
    let messages: Vec<_> = recording
        .of_kind(15)
        .map(|event| (event.x, event.y))
        .collect();
    assert_eq!(messages[0], (2, 1));
}

/// What the events must sum up to: spawns, polls, polls of the root, wakes by tasks, turns, events, timers.
async fn work(listener: TcpListener) {
    let mut set = JoinSet::new();
    for nth in 0..20_u64 {
        let address = listener.local_addr().unwrap();
        set.spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            for _ in 0..nth {
                stream.write_all(b"ping").await.unwrap();
                stream.read_exact(&mut [0; 4]).await.unwrap();
                sleep(Duration::from_micros(nth)).await;
            }
        });
    }
    for _ in 0..20 {
        let (stream, _) = listener.accept().await.unwrap();
        set.spawn(async move {
            let mut buf = [0; 4];
            while stream.read_exact(&mut buf).await.is_ok() {
                stream.write_all(&buf).await.unwrap();
                yield_now().await;
            }
        });
    }
    while let Some(ended) = set.join_next().await {
        ended.unwrap();
    }
}

#[test]
fn the_events_sum_up_to_the_metrics() {
    let recording = trace::Recording::new().events(1 << 16);
    let runtime = Builder::new().record(recording).build().unwrap();
    let (recording, metrics) = runtime.block_on(async {
        work(TcpListener::bind("127.0.0.1:0").await.unwrap()).await;
        (recorded(), wakeful::metrics())
    });
    assert_eq!(recording.events[0].number, 0, "the ring has all events");
    let count = |kind| recording.of_kind(kind).count() as u64;
    let polls = |of_root| {
        let polls = recording.of_kind(3);
        polls.filter(|poll| (poll.x == ROOT) == of_root).count() as u64
    };
    assert_eq!(count(1), metrics.spawned_tasks_count);
    assert_eq!(
        (polls(false), polls(true)),
        (metrics.polls, metrics.root_polls)
    );
    assert_eq!(
        count(4) + 1,
        count(3),
        "each poll but the present one has ended"
    );
    let by_task = recording
        .of_kind(7)
        .filter(|wake| wake.y != NO_TASK && wake.y != ROOT);
    assert_eq!(by_task.count() as u64, metrics.wakes_by_task);
    assert_eq!((count(8), count(9)), (metrics.turns, metrics.turns));
    let events: u32 = recording.of_kind(9).map(|turn| turn.x).sum();
    assert_eq!(u64::from(events), metrics.io_ready_count);
    assert_eq!(count(11), metrics.timers_fired);
    assert_eq!(count(16) - count(17), metrics.sources);
    let parks = recording.of_kind(8).filter(|turn| turn.x != 0).count() as u64;
    assert_eq!(parks, metrics.parks);
}

#[test]
fn equal_seeds_and_a_paused_clock_give_equal_recordings() {
    let run = |seed| {
        let builder = Builder::new().start_paused(true).rng_seed(seed);
        let runtime = builder.record(small()).build().unwrap();
        runtime.block_on(async {
            let mut set = JoinSet::new();
            for nth in 0..20 {
                let (near, far) = duplex(8);
                set.spawn(async move {
                    sleep(Duration::from_millis(nth % 5)).await;
                    near.write_all(b"0123456789").await.unwrap();
                });
                set.spawn(async move {
                    let mut text = Vec::new();
                    timeout(secs(1), far.read_to_end(&mut text))
                        .await
                        .unwrap()
                        .unwrap();
                    trace::mark("received");
                });
            }
            while set.join_next().await.is_some() {}
            recorded()
        })
    };
    let first = run(7);
    assert_eq!(first.content(), run(7).content());
    assert_ne!(first.content(), run(8).content(), "another order");
    let times: Vec<u64> = first.of_kind(11).map(|fired| fired.time).collect();
    assert_eq!(
        times.last(),
        Some(&4_000_000),
        "in nanoseconds of the paused clock"
    );
}

// --- beginning and end ------------------------------------------------------------------------------

#[test]
fn without_a_recording_nothing_is_recorded() {
    trace::mark("outside of a runtime");
    drop(trace::span("outside of a runtime"));
    assert!(!trace::stop());
    runtime().block_on(async {
        trace::mark("not recorded");
        assert!(!trace::is_recording() && !trace::stop());
        assert_eq!(trace::snapshot(), None);
        trace::start(&small()).unwrap();
        assert!(trace::is_recording());
        assert!(trace::stop());
        assert_eq!(trace::snapshot(), None);
    });
    // One that records beside one that does not.
    let other = Builder::new().record(small()).build().unwrap();
    runtime().block_on(async {
        assert!(!trace::is_recording());
        trace::mark("not recorded");
        spawn(sleep(Duration::ZERO)).await.unwrap();
    });
    let _entered = other.enter();
    assert_eq!(recorded().events, []);
}

#[test]
fn a_recording_that_begins_later_lists_what_exists() {
    let lines = runtime().block_on(async {
        let (near, _far) = wakeful_tests::trace::pair();
        let fd = wakeful::io::AsyncFd::new(near).unwrap();
        let waits = wakeful::task::Builder::new()
            .name("waits")
            .spawn(pending::<()>())
            .unwrap();
        let sleeps = spawn(sleep(secs(60)));
        yield_now().await;
        trace::start(&small()).unwrap();
        let again = trace::start(&small()).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        waits.abort();
        waits.await.unwrap_err();
        drop((sleeps, fd));
        recorded().lines()
    });
    let begin: Vec<_> = lines.iter().map(String::as_str).take(15).collect();
    let (source, rest) = begin.split_first().unwrap();
    assert!(source.starts_with("source "), "{source}");
    let expected = [
        "keyframe 3 0",
        "keyframe task root 2",
        "keyframe busy root",
        "keyframe task 1 1",
        "keyframe busy 1",
        "spawn 1 recordings",
        "name 1 waits",
        "keyframe task 2 1",
        "keyframe busy 2",
        "spawn 2 recordings",
        "wait 2 sleep",
        "on 2 0 recordings",
        "keyframe end 0 0",
        "poll root cause 6 0",
    ];
    assert_eq!(rest, expected, "{lines:#?}");
    let wake = "wake 1 none".to_owned();
    assert!(lines.contains(&wake), "a wake of a task from before");
}

#[test]
fn the_ring_keeps_the_last_events() {
    let recording = trace::Recording::new().events(1);
    let runtime = Builder::new().record(recording).build().unwrap();
    runtime.block_on(async {
        for nth in 0..1000 {
            trace::operation(nth, Operation::Other, Ok(0));
        }
        let recording = recorded();
        assert_eq!(recording.u64(24), 64, "the least capacity");
        let fds: Vec<u32> = recording.events.iter().map(|event| event.x).collect();
        assert_eq!(fds, Vec::from_iter(936..1000));
        assert!(recording.events.iter().all(|event| event.a == 5));
    });
}

/// Spawns a named task and overwrites its spawn.
async fn overwritten_spawn() {
    let named = wakeful::task::Builder::new().name("waits");
    drop(named.spawn(pending::<()>()).unwrap());
    yield_now().await;
    for nth in 0..1000 {
        trace::operation(nth, Operation::Other, Ok(0));
    }
}

#[track_caller]
fn assert_lists_the_task(recording: &Recording) {
    let lines = recording.lines();
    for line in ["keyframe 2 0", "spawn 1 recordings", "name 1 waits"] {
        assert!(lines.contains(&line.to_owned()), "{line}: {lines:#?}");
    }
}

#[test]
fn a_task_whose_spawn_was_overwritten_keeps_its_name_and_place() {
    let least = || trace::Recording::new().events(64);
    runtime_with(least()).block_on(async {
        overwritten_spawn().await;
        assert_lists_the_task(&recorded());
        for _ in 0..3 {
            drop(spawn(pending::<()>()));
        }
        assert_eq!(recorded().of_kind(22).count(), 1, "four are too many");
    });
    let dir = TempDir::new();
    let path = dir.join("stopped.wtr");
    runtime_with(least().file(&path)).block_on(async {
        overwritten_spawn().await;
        assert!(trace::stop());
        assert_lists_the_task(&Recording::read(fs::read(&path).unwrap()));
    });
}

fn runtime_with(recording: trace::Recording) -> wakeful::runtime::Runtime {
    Builder::new().record(recording).build().unwrap()
}

#[test]
fn a_recording_that_ends_with_its_runtime_lists_the_tasks() {
    let dir = TempDir::new();
    let path = dir.join("ended.wtr");
    runtime_with(trace::Recording::new().events(64).file(&path)).block_on(overwritten_spawn());
    let recording = Recording::read(fs::read(&path).unwrap());
    let lines = recording.lines();
    for line in ["spawn 1 recordings", "name 1 waits"] {
        assert!(lines.contains(&line.to_owned()), "{line}: {lines:#?}");
    }
}

#[test]
fn names_without_room_are_lost_and_places_are_not() {
    let runtime = Builder::new().record(small()).build().unwrap();
    let recording = runtime.block_on(async {
        for nth in 0..300 {
            let name = format!("{nth:-<2000}");
            let named = wakeful::task::Builder::new().name(&name);
            named.spawn(async {}).unwrap().await.unwrap();
        }
        trace::mark("there is room for this");
        recorded()
    });
    let lost: Vec<_> = recording.of_kind(21).collect();
    assert_eq!((lost.len(), lost[0].y), (1, 1));
    assert_eq!(recording.flags(), 2, "a text did not fit");
    let names: Vec<_> = recording.of_kind(2).collect();
    assert_eq!(recording.text(names[0].y).len(), 1024, "a text is cut");
    assert_eq!(recording.text(names[299].y), "?");
    assert!(
        recording
            .lines()
            .contains(&"mark root there is room for this".to_owned())
    );
    let spawn = recording.of_kind(1).last().unwrap();
    assert!(recording.text(spawn.y).contains("recordings.rs:"));
}

// --- files ------------------------------------------------------------------------------------------

fn build(path: &Path) -> io::Result<wakeful::runtime::Runtime> {
    Builder::new().record(small().file(path)).build()
}

#[test]
fn a_file_that_cannot_be_made_is_an_error_with_its_path() {
    let folder = TempDir::new();
    let missing = folder.join("missing/file.wtr");
    for (path, kind, cause) in [
        (
            missing,
            io::ErrorKind::NotFound,
            "No such file or directory",
        ),
        (
            folder.path().to_owned(),
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ),
        (
            PathBuf::from("/dev/null"),
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ),
    ] {
        let error = build(&path).unwrap_err();
        assert_eq!(error.kind(), kind);
        let text = error.to_string();
        let begin = format!("the recording cannot be written to {}: ", path.display());
        assert!(text.starts_with(&begin) && text.contains(cause), "{text}");
    }
    assert!(Path::new("/dev/null").exists());
}

#[test]
fn a_file_without_room_for_the_recording_is_removed() {
    alone(|| {
        let folder = TempDir::new();
        let path = folder.join("file.wtr");
        runtime().block_on(async {
            // Otherwise the signal for a file that is too large would end the process.
            let _caught = signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).unwrap();
            let limit = Rlimit {
                current: Some(4096),
                maximum: getrlimit(Resource::Fsize).maximum,
            };
            setrlimit(Resource::Fsize, limit).unwrap();
            let error = trace::start(&small().file(&path)).unwrap_err();
            assert!(error.to_string().contains("too large"), "{error}");
            assert!(!path.exists() && !trace::is_recording());
        });
    });
}

#[test]
fn a_file_stays_and_says_that_its_runtime_has_ended() {
    let folder = TempDir::new();
    let path = folder.join("file.wtr");
    let first = build(&path).unwrap();
    let kept = File::open(&path).unwrap();
    // The first runtime writes on in its own file.
    let second = build(&path).unwrap();
    first.block_on(async { trace::mark("first") });
    second.block_on(async { trace::mark("second") });
    drop((first, second));
    let recording = Recording::read(fs::read(&path).unwrap());
    let marks: Vec<_> = recording
        .of_kind(18)
        .map(|mark| recording.text(mark.y))
        .collect();
    assert_eq!((marks, recording.flags()), (vec!["second"], 1));
    assert_eq!(recording.u64(112), u64::MAX, "no task is polled");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut first = vec![0; kept.metadata().unwrap().len() as usize];
    kept.read_exact_at(&mut first, 0).unwrap();
    assert!(
        Recording::read(first)
            .lines()
            .contains(&"mark root first".to_owned())
    );
}

#[test]
fn the_ring_of_a_killed_process_has_its_last_event() {
    let folder = TempDir::new();
    let path = folder.join("killed.wtr");
    let mut child = Command::new(env!("CARGO_BIN_EXE_recording-child"))
        .arg(&path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child.kill().unwrap();
    child.wait().unwrap();
    let recording = Recording::read(fs::read(&path).unwrap());
    let lines = recording.lines();
    assert_eq!(lines.last().unwrap(), "mark 1 last words");
    assert!(recording.events[0].number > 0, "the ring was full");
    assert_eq!(recording.u32(12), child.id());
    assert_eq!(recording.u32(76), 0, "it has not ended in order");
    assert_eq!(recording.u64(112), 1, "task 1.0 was polled");
    assert!(
        recording
            .text(recording.u64(128) as u32)
            .contains("recording-child.rs:")
    );
    assert_eq!(recording.u32(136), 0, "the loop was not parked");
}

// --- readers ----------------------------------------------------------------------------------------

/// Opens the memory of this process's only recording without a path, as another process would.
fn open_memory() -> File {
    let folder = fs::read_dir("/proc/self/fd").unwrap();
    let mut links = folder.map(|entry| entry.unwrap().path());
    let is_recording = |path: &PathBuf| {
        let target = fs::read_link(path);
        target.is_ok_and(|target| target.starts_with("/memfd:wakeful-trace (deleted)"))
    };
    let path = links.find(is_recording).expect("a recording");
    File::options().read(true).write(true).open(path).unwrap()
}

fn word(file: &File, at: u64) -> u64 {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, at).unwrap();
    u64::from_le_bytes(bytes)
}

#[test]
fn a_reader_of_the_memory_gets_a_keyframe_when_it_asks() {
    let output = alone(|| {
        let runtime = Builder::new().record(small()).build().unwrap();
        runtime.block_on(async {
            let waits = spawn(sleep(secs(60)));
            yield_now().await;
            let memory = open_memory();
            memory.write_all_at(&7_u32.to_le_bytes(), 144).unwrap();
            let before = recorded().events.len();
            yield_now().await;
            assert_eq!(
                word(&memory, 144),
                7 << 32 | 7,
                "the request and its answer"
            );
            let recording = recorded();
            let lines = recording.lines().split_off(before);
            assert!(lines.contains(&"keyframe 2 7".to_owned()), "{lines:#?}");
            assert!(
                lines.contains(&"keyframe task 1 1".to_owned()),
                "{lines:#?}"
            );
            assert_eq!(
                lines
                    .iter()
                    .filter(|line| line.starts_with("wait 1"))
                    .count(),
                1
            );
            yield_now().await;
            assert_eq!(recorded().of_kind(22).count(), 1, "once");
            waits.abort();
        });
    });
    if let Some(output) = output {
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

/// Reads the events that no write can have torn, and checks that each is the one with its number.
fn check(file: &File, capacity: u64, at: u64) -> u64 {
    let head = word(file, 56);
    let mut bytes = vec![0; 16 * capacity as usize];
    file.read_exact_at(&mut bytes, at).unwrap();
    let whole_from = (word(file, 56) + 1).saturating_sub(capacity);
    for number in whole_from..head {
        let at = 16 * (number % capacity) as usize;
        let words = bytes[at..at + 16].chunks(8);
        let words: Vec<u64> = words
            .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
            .collect();
        let event = Event::of(number, words[0], words[1]);
        let expected = (12, 5, number as u32, number as u32);
        assert_eq!((event.kind, event.a, event.x, event.y), expected);
    }
    head.saturating_sub(whole_from)
}

#[test]
fn no_event_that_a_reader_keeps_is_torn() {
    // Without optimization an event takes a microsecond.
    const EVENTS: u64 = if cfg!(debug_assertions) {
        1_000_000
    } else {
        10_000_000
    };
    let folder = TempDir::new();
    let path = folder.join("ring.wtr");
    let recording = trace::Recording::new().events(1 << 12).file(&path);
    let runtime = Builder::new().record(recording).build().unwrap();
    let file = File::open(&path).unwrap();
    let (capacity, at) = (word(&file, 24), word(&file, 48));
    let reader = thread::spawn(move || {
        let mut kept = 0;
        while word(&file, 56) < EVENTS {
            kept += check(&file, capacity, at);
        }
        (kept, check(&file, capacity, at))
    });
    let _entered = runtime.enter();
    // Outside of `block_on`, so that there are no other events.
    for nth in 0..EVENTS as i32 {
        trace::operation(nth, Operation::Other, Ok(nth as usize));
    }
    let (kept, at_the_end) = reader.join().unwrap();
    assert!(kept > 0);
    assert_eq!(at_the_end, capacity - 1);
}

#[test]
fn a_future_that_stops_the_recording_while_it_is_polled_goes_on() {
    let runtime = Builder::new().record(small()).build().unwrap();
    runtime.block_on(async {
        let mut polls = 0;
        let task = spawn(poll_fn(move |cx| {
            polls += 1;
            match polls {
                1 => assert!(trace::stop()),
                2 => trace::start(&small()).unwrap(),
                _ => return Poll::Ready(()),
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
        task.await.unwrap();
        let lines = recorded().lines();
        let of_task: Vec<_> = lines.iter().filter(|line| line.contains(" 1")).collect();
        assert_eq!(of_task.last().unwrap().as_str(), "poll root cause 3 1");
        assert!(lines.contains(&"wake 1 1".to_owned()), "{lines:#?}");
    });
}
