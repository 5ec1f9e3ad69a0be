//! Random programs of descriptors: see the module `programs::descriptors` of this package.

use wakeful_tests::programs::{descriptors, random_bytes};

#[test]
fn no_task_waits_for_a_descriptor_that_is_ready_whatever_is_done_at_random() {
    for seed in 0..50 {
        descriptors::run(&random_bytes(seed, 2_000));
    }
}
