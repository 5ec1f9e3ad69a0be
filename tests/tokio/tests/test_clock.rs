include!(concat!(env!("OUT_DIR"), "/test_clock.rs"));
