//! Random programs of sleeps: see the module `programs::timers` of this package.

use wakeful_tests::programs::{random_bytes, timers};

#[test]
fn sleeps_used_at_random_are_ready_and_wake_as_in_the_model() {
    for seed in 0..100 {
        timers::run(&random_bytes(seed, 2_000));
    }
}
