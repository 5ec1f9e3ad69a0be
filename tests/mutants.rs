//! Nearly all files of [`tests`](../tests) in one program, for `cargo mutants`: a change of the libraries
//! links one program instead of one per file. Built only with the feature `mutants`. docs/MUTANTS.md
//! has the command.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Files that are not here. Some test the sources or the compiler's messages, which no mutant changes.
const SOURCES: [&str; 4] = ["architecture", "macros_errors", "size", "vocabulary"];

/// Some need a process of their own (signals, allocations, all descriptors); `.cargo/mutants.toml`
/// names their programs.
const ALONE: [&str; 3] = ["epoll_lost", "memory", "signals"];

#[path = "tests/abandoned_waits.rs"]
mod abandoned_waits;
#[path = "tests/async_fd.rs"]
mod async_fd;
#[path = "tests/async_fd_close.rs"]
mod async_fd_close;
#[path = "tests/async_fd_mut.rs"]
mod async_fd_mut;
#[path = "tests/async_fd_waiters.rs"]
mod async_fd_waiters;
#[path = "tests/blocking.rs"]
mod blocking;
#[path = "tests/busy_poll.rs"]
mod busy_poll;
#[path = "tests/combinations.rs"]
mod combinations;
#[path = "tests/copy.rs"]
mod copy;
#[path = "tests/deadlocks.rs"]
mod deadlocks;
#[path = "tests/dump.rs"]
mod dump;
#[path = "tests/duplex.rs"]
mod duplex;
#[path = "tests/fairness.rs"]
mod fairness;
#[path = "tests/fairness_net.rs"]
mod fairness_net;
#[path = "tests/fd_stream.rs"]
mod fd_stream;
#[path = "tests/floods.rs"]
mod floods;
#[path = "tests/fuzz_corpus.rs"]
mod fuzz_corpus;
#[path = "tests/io_traits.rs"]
mod io_traits;
#[path = "tests/join_set.rs"]
mod join_set;
#[path = "tests/kernel.rs"]
mod kernel;
#[path = "tests/macros.rs"]
mod macros;
#[path = "tests/missed_events.rs"]
mod missed_events;
#[path = "tests/nesting.rs"]
mod nesting;
#[path = "tests/orders.rs"]
mod orders;
#[path = "tests/random_datagrams.rs"]
mod random_datagrams;
#[path = "tests/random_descriptors.rs"]
mod random_descriptors;
#[path = "tests/random_tasks.rs"]
mod random_tasks;
#[path = "tests/random_timers.rs"]
mod random_timers;
#[path = "tests/recordings.rs"]
mod recordings;
#[path = "tests/records.rs"]
mod records;
#[path = "tests/relay.rs"]
mod relay;
#[path = "tests/remote.rs"]
mod remote;
#[path = "tests/root_future.rs"]
mod root_future;
#[path = "tests/serve.rs"]
mod serve;
#[path = "tests/shutdown.rs"]
mod shutdown;
#[path = "tests/shutdown_token.rs"]
mod shutdown_token;
#[path = "tests/socket_errors.rs"]
mod socket_errors;
#[path = "tests/sockets_reliability.rs"]
mod sockets_reliability;
#[path = "tests/stdio.rs"]
mod stdio;
#[path = "tests/stream_traits.rs"]
mod stream_traits;
#[path = "tests/stuck.rs"]
mod stuck;
#[path = "tests/task_aborts.rs"]
mod task_aborts;
#[path = "tests/task_panics.rs"]
mod task_panics;
#[path = "tests/tasks.rs"]
mod tasks;
#[path = "tests/tcp.rs"]
mod tcp;
#[path = "tests/time.rs"]
mod time;
#[path = "tests/time_paused.rs"]
mod time_paused;
#[path = "tests/udp.rs"]
mod udp;
#[path = "tests/udp_segments.rs"]
mod udp_segments;
#[path = "tests/unix.rs"]
mod unix;
#[path = "tests/unix_datagram.rs"]
mod unix_datagram;
#[path = "tests/user_code.rs"]
mod user_code;
#[path = "tests/waiting.rs"]
mod waiting;
#[path = "tests/wakers.rs"]
mod wakers;
#[path = "tests/watch.rs"]
mod watch;

#[test]
fn every_test_file_is_here_or_a_program_of_its_own() {
    let this = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("mutants.rs"));
    let this = this.expect("this file");
    let mut known: BTreeSet<String> = this
        .lines()
        .filter_map(|line| {
            line.strip_prefix("mod ")?
                .strip_suffix(';')
                .map(ToOwned::to_owned)
        })
        .collect();
    known.extend(SOURCES.into_iter().chain(ALONE).map(ToOwned::to_owned));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let files = fs::read_dir(folder).expect("the folder of tests");
    let found = files
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    assert_eq!(known, found);
}
