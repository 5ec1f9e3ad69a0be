//! Random programs of datagrams: see the module `programs::datagrams` of this package.

use wakeful_tests::programs::{datagrams, random_bytes};

#[test]
fn datagrams_sent_and_received_at_random_are_those_of_the_model() {
    for seed in 0..50 {
        datagrams::run(&random_bytes(seed, 2_000));
    }
}
