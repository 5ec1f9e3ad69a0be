//! Programs of tasks, checked against a model: see `wakeful_tests::programs::tasks`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    wakeful_tests::programs::tasks::run(bytes, None);
    wakeful_tests::programs::tasks::run(bytes, Some(bytes.len() as u64));
});
