//! The command line of `echo-server`: no arguments make it panic, every refusal says something, and an
//! accepted address that is printed is accepted again as the same one.

#![no_main]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::Parser as _;
use libfuzzer_sys::fuzz_target;

use args::{Address, Args};

#[path = "../../../echo-server/src/args.rs"]
#[allow(dead_code, reason = "the program uses all of it")]
mod args;
#[path = "../../../echo-server/src/trace_file.rs"]
#[allow(dead_code, reason = "the program uses all of it")]
mod trace_file;

fuzz_target!(|bytes: &[u8]| {
    let arguments = bytes.split(|byte| *byte == 0).map(OsStr::from_bytes);
    let all = std::iter::once(OsStr::new("echo-server")).chain(arguments);
    match Args::try_parse_from(all) {
        Ok(args) => args.addresses().iter().for_each(check),
        Err(refusal) => assert!(!refusal.to_string().trim().is_empty()),
    }
});

fn check(address: &Address) {
    // What is not plain text is escaped when it is printed.
    let escaped = matches!(address, Address::Unix(path)
        if path.to_str().is_none_or(|text| text.chars().any(char::is_control)));
    if !escaped {
        let printed = address.to_string();
        let again = Address::parse(OsString::from(&printed));
        assert_eq!(again.as_ref(), Ok(address), "{printed}");
    }
}
