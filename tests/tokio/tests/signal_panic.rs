include!(concat!(env!("OUT_DIR"), "/signal_panic.rs"));
