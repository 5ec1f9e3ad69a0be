//! Programs of descriptors, checked against a model: see `wakeful_tests::programs::descriptors`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| wakeful_tests::programs::descriptors::run(bytes));
