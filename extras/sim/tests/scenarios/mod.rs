//! Small programs in the simulation that notice when the libraries are broken.
//!
//! Each scenario is a test (`tests/scenarios.rs`), and runs on broken libraries as well (`planted`, through
//! `examples/scenario.rs`). A scenario ends in a bounded time also if they are broken: it fails an assertion, or
//! ends in a deadlock, which the simulation finds. A new one needs a place in the list below.

mod listeners;
mod shortages;
mod streams;
mod tasks;
mod timers;

use std::pin::Pin;

use futures_lite::future::zip;
use wakeful_net::{TcpListener, TcpStream};
use wakeful_sim::{Faults, Options, Sim};

/// A program and how it runs.
pub(crate) struct Scenario {
    /// The name of its test, from which the seeds follow.
    pub(crate) name: &'static str,
    pub(crate) options: Options,
    pub(crate) body: fn(Sim) -> Pin<Box<dyn Future<Output = ()>>>,
}

/// Lists the scenarios of each module with the faults of its runs, and makes a test of each.
macro_rules! scenarios {
    ($($module:ident with $faults:expr => $($name:ident)*;)*) => {
        /// Returns all scenarios.
        pub(crate) fn all() -> Vec<Scenario> {
            vec![$($(Scenario {
                name: concat!("scenarios::", stringify!($name)),
                options: Options::new().faults($faults),
                body: |sim| Box::pin($module::$name(sim)),
            }),*),*]
        }

        #[cfg(test)]
        mod tests {
            $($(
                #[test]
                fn $name() {
                    super::check(concat!("scenarios::", stringify!($name)));
                }
            )*)*
        }
    };
}

scenarios! {
    streams with Faults::lossless() =>
        bytes_come_through_a_small_buffer
        messages_are_read_whole
        many_small_reads
        both_directions_at_once
        an_end_behind_bytes_is_read
        a_writer_waits_for_room
        a_reader_gives_up_beside_a_writer
        a_read_moves_to_another_task
        a_peek_leaves_the_bytes
        an_answer_follows_a_half_close
        a_dropped_half_ends_the_stream
        a_shutdown_after_a_reset_succeeds
        waiting_takes_few_turns
        a_relay_passes_on_the_end
        a_relay_of_any_streams_loses_no_byte
        a_closed_pipe_wakes_its_writer;
    listeners with Faults::lossless() =>
        a_refused_connection_says_so
        two_tasks_accept_on_one_listener
        one_of_three_accepts_gives_up
        clients_that_come_together_are_served
        a_task_without_budget_accepts
        a_full_server_accepts_again;
    shortages with Faults::lossless().with_shortages() =>
        a_server_outlasts_shortages
        lost_connections_are_skipped;
    timers with Faults::lossless() =>
        timers_end_on_time
        timers_wake_in_the_order_of_their_deadlines
        timers_beside_traffic
        timers_that_are_dropped_harm_no_others
        a_sleep_is_moved_into_the_past
        an_interval_does_not_drift
        a_result_at_the_deadline_is_returned;
    tasks with Faults::lossless() =>
        a_task_wakes_itself
        an_aborted_task_is_joined
        an_aborted_closure_does_not_begin
        an_abort_meets_a_wake
        an_output_waits_for_its_joiner
        a_handle_is_dropped_at_the_end_of_its_task
        a_handle_moves_to_another_task
        an_old_handle_aborts_no_other_task
        a_busy_task_lets_others_run
        a_shutdown_reaches_every_task
        nothing_runs_after_a_cancellation;
}

impl Scenario {
    /// Finds a scenario by the full name of its test, or by the last part.
    pub(crate) fn find(name: &str) -> Option<Self> {
        let is_it = |scenario: &Scenario| {
            let last = scenario.name.rsplit("::").next();
            scenario.name == name || last == Some(name)
        };
        all().into_iter().find(is_it)
    }
}

#[cfg(test)]
fn check(name: &str) {
    let scenario = Scenario::find(name).expect("it is in the list");
    wakeful_sim::check(scenario.name, scenario.options, scenario.body);
}

/// Returns both ends of a connection: the client's and the server's.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connect = TcpStream::connect(listener.local_addr().unwrap());
    let (accepted, client) = zip(listener.accept(), connect).await;
    (client.unwrap(), accepted.unwrap().0)
}

/// Returns so many bytes, of which none has the value of its neighbors.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|number| (number * 7 % 251) as u8).collect()
}

/// Reads until the end, at most `piece` bytes at once.
async fn read_to_end(stream: &TcpStream, piece: usize) -> Vec<u8> {
    let (mut got, mut buf) = (Vec::new(), vec![0; piece]);
    while let n @ 1.. = stream.read(&mut buf).await.unwrap() {
        got.extend_from_slice(&buf[..n]);
        assert!(got.len() < 1_000_000, "there is no end");
    }
    got
}

/// Returns everything to the sender until the end.
async fn echo(stream: TcpStream) {
    let mut buf = [0; 64];
    while let n @ 1.. = stream.read(&mut buf).await.unwrap() {
        stream.write_all(&buf[..n]).await.unwrap();
    }
}

/// Sends a message to an echo server, and checks what comes back.
async fn ask(stream: &TcpStream, message: &[u8]) {
    stream.write_all(message).await.unwrap();
    let mut answer = vec![0; message.len()];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, message);
}
