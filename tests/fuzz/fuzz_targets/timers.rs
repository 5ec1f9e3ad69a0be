//! Programs of timers, checked against a model: see `wakeful_tests::programs::timers`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| wakeful_tests::programs::timers::run(bytes));
