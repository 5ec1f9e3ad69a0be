//! Random programs of tasks: see the module `programs::tasks` of this package.

use wakeful_tests::programs::{random_bytes, tasks};
use wakeful_tests::trace::alone;

#[test]
fn tasks_that_act_on_each_other_at_random_are_polled_exactly_when_woken() {
    // In a process of its own, because panics without a joiner are reported on stderr.
    alone(|| {
        for seed in 0..100 {
            let bytes = random_bytes(seed, 2_000);
            tasks::run(&bytes, None);
            tasks::run(&bytes, Some(seed));
        }
    });
}
