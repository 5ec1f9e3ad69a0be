//! Programs of datagrams, checked against a model: see `wakeful_tests::programs::datagrams`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| wakeful_tests::programs::datagrams::run(bytes));
