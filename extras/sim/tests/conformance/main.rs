//! Scripts and random calls, on real loopback and in the simulation: both must give the same answers.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod calls;
mod duplicates;
mod families;
mod log;
mod random;
mod raw;
mod streams;
mod udp;
mod unix;
mod unix_datagrams;

use std::env;
use std::future::Future;
use std::io::{self, Write as _};
use std::pin::Pin;

use wakeful_sim::{Faults, Options, run_seed};

use log::Log;
use random::Kind;

type Script = fn(Log) -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! scripts {
    ($module:ident: $($name:ident),* $(,)?) => {
        [$((stringify!($name), (|log| Box::pin($module::$name(log))) as Script)),*]
    };
}

fn streams() -> Vec<(&'static str, Script)> {
    let mut scripts = Vec::new();
    scripts.extend(scripts![streams:
        refused,
        end_after_bytes,
        half_close,
        write_to_a_closed_peer,
        read_behind_the_end_and_a_reset,
        connect_to_no_host,
        close_with_unread_bytes,
        zero_linger,
        bytes_before_a_reset,
        listener_closed_with_a_client_in_its_queue,
        accept_after_the_client_has_left,
        accept_after_the_client_has_reset,
        flags_of_an_open_stream,
        addresses,
        binding,
        shut_down_reading,
        shut_down_both,
        no_room,
        nothing_to_move,
        full_queue,
        dropped_half,
        reset_while_writing,
    ]);
    scripts.extend(scripts![duplicates:
        both_descriptors_of_a_stream_have_events,
        a_shutdown_is_one_of_the_socket,
        a_listener_with_two_descriptors,
        several_buffers,
        peeking,
        both_halves_end,
    ]);
    scripts
}

fn calls() -> Vec<(&'static str, Script)> {
    let mut scripts = Vec::new();
    scripts.extend(scripts![calls:
        connect_again_after_a_refusal,
        connect_again_after_the_error_was_taken,
        connect_twice,
        calls_after_a_reset,
        a_reset_with_unread_bytes_on_both_sides,
        shut_down_a_listener,
        calls_on_a_new_socket,
        connecting_to_a_full_queue,
        a_client_that_leaves_while_it_connects,
        an_address_whose_connections_are_open,
        two_sockets_that_share_an_address,
        connect_to_itself,
        shut_down_twice,
        edges_of_bytes_and_the_end,
        transfers_of_no_bytes,
        connections_are_accepted_in_order,
        edges_of_a_listener,
        an_error_after_the_end,
    ]);
    scripts.extend(scripts![families:
        streams_of_ipv6,
        all_addresses_of_loopback,
        a_listener_of_both_families,
        a_listener_of_ipv4_only,
        a_listener_of_ipv6_only,
        an_address_of_another_family,
        another_family_after_a_refusal,
    ]);
    scripts
}

fn datagrams() -> Vec<(&'static str, Script)> {
    Vec::from(scripts![udp:
        datagrams_and_their_answers,
        datagrams_keep_their_boundaries_and_order,
        a_connected_socket,
        a_peer_that_has_closed,
        datagrams_that_are_too_long,
        ports_of_udp,
        calls_on_a_new_socket_of_udp,
        a_socket_of_udp_that_is_shut_down,
        a_receiver_whose_buffer_is_full,
        peeking_at_datagrams,
        udp_of_both_families,
        a_socket_that_is_connected_later,
        segments_and_control_data,
        edges_of_datagrams,
    ])
}

fn unix() -> Vec<(&'static str, Script)> {
    let mut scripts = Vec::new();
    scripts.extend(scripts![unix:
        a_unix_stream_and_its_names,
        names_of_unix_sockets,
        paths_of_unix_sockets,
        a_unix_peer_that_has_closed,
        a_unix_peer_that_has_closed_with_unread_bytes,
        a_unix_stream_that_is_shut_down,
        a_full_queue_of_a_unix_listener,
        a_unix_client_that_waits_for_the_queue,
        a_unix_listener_that_is_closed,
        calls_on_unix_sockets_that_are_not_connected,
        no_room_in_a_unix_stream,
    ]);
    scripts.extend(scripts![unix_datagrams:
        unix_datagrams_and_their_senders,
        a_receiver_of_unix_datagrams_that_is_full,
        senders_that_wait_for_a_full_receiver,
        a_unix_receiver_with_a_peer,
        a_unix_datagram_peer_that_has_closed,
        unix_datagrams_that_are_shut_down,
        unix_datagrams_that_are_too_long,
        no_room_in_a_unix_datagram_pair,
        calls_on_a_new_unix_datagram_socket,
    ]);
    scripts
}

/// The scripts that move megabytes, or many datagrams, take longer.
const BULK: [&str; 4] = [
    "no_room",
    "reset_while_writing",
    "a_receiver_whose_buffer_is_full",
    "no_room_in_a_unix_stream",
];

/// Runs a script on real loopback and with many seeds. Returns the first difference as text.
///
/// Delays and the order of tasks change no answer. Faults of transfers do, so a script only has to end with
/// them.
fn difference(name: &str, script: Script) -> Option<String> {
    let log = Log::default();
    let run_real = || {
        wakeful::block_on(script(log.clone()));
        log.take()
    };
    let mut real = run_real();
    assert!(!real.is_empty(), "{name}");
    let seeds = if BULK.contains(&name) { 2 } else { 20 };
    for (seed, faults) in (0..seeds).flat_map(|seed| {
        [Faults::none(), Faults::delays_only(), Faults::lossless()].map(|faults| (seed, faults))
    }) {
        let run = run_seed(name, seed, Options::new().faults(faults), |_| {
            script(log.clone())
        });
        assert!(run.panic.is_none(), "{name}, seed {seed}, {faults:?}");
        let simulated = log.take();
        if faults != Faults::lossless() && !agrees(&mut real, &simulated, run_real) {
            let both = side_by_side(&real, &simulated);
            return Some(format!("{name}, seed {seed}, {faults:?}\n{both}"));
        }
    }
    None
}

/// Returns whether both logs are equal. If not, the calls are made again on real loopback, because another
/// program can have used a port in between.
fn agrees(
    real: &mut Vec<String>,
    simulated: &[String],
    run_real: impl Fn() -> Vec<String>,
) -> bool {
    for _ in 0..3 {
        if real == simulated {
            return true;
        }
        *real = run_real();
    }
    real == simulated
}

/// Writes the log of the kernel next to that of the simulation.
fn side_by_side(real: &[String], simulated: &[String]) -> String {
    let mut text = String::new();
    for place in 0..real.len().max(simulated.len()) {
        let (real, simulated) = (real.get(place), simulated.get(place));
        let mark = if real == simulated { ' ' } else { '!' };
        let line = |line: Option<&String>| line.cloned().unwrap_or_default();
        text += &format!("{mark} {:<60} {}\n", line(real), line(simulated));
    }
    text
}

#[test]
fn the_kernel_and_the_simulation_give_the_same_answers() {
    let scripts = [streams(), calls(), datagrams(), unix()].concat();
    let count = scripts.len();
    let differ: Vec<String> = scripts
        .into_iter()
        .filter_map(|(name, script)| difference(name, script))
        .collect();
    let mut stderr = io::stderr().lock();
    for text in &differ {
        stderr.write_all(text.as_bytes()).unwrap();
    }
    let same = count - differ.len();
    writeln!(stderr, "conformance scripts: {same} of {count}").unwrap();
    drop(stderr);
    assert!(differ.is_empty(), "{} scripts differ", differ.len());
    assert!(count >= 60);
}

/// Sequences of random calls for each kind of socket. `WAKEFUL_SEEDS` replaces it.
const SEQUENCES: u64 = 50;

#[test]
fn the_kernel_and_the_simulation_give_the_same_answers_to_random_calls() {
    let sequences = env::var("WAKEFUL_SEEDS").map_or(SEQUENCES, |count| count.parse().unwrap());
    for kind in [Kind::Tcp, Kind::Udp, Kind::UnixStream, Kind::UnixDatagram] {
        for seed in 0..sequences {
            let log = Log::default();
            let run_real = || {
                wakeful::block_on(random::calls(log.clone(), kind, seed));
                log.take()
            };
            let options = Options::new().faults(Faults::delays_only());
            let run = run_seed("random", seed, options, |_| {
                random::calls(log.clone(), kind, seed)
            });
            assert!(run.panic.is_none(), "{kind:?} {seed}");
            let simulated = log.take();
            let mut real = run_real();
            let same = agrees(&mut real, &simulated, run_real);
            let both = || side_by_side(&real, &simulated);
            assert!(same, "{kind:?} {seed}\n{}", both());
        }
    }
}
