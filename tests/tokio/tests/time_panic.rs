include!(concat!(env!("OUT_DIR"), "/time_panic.rs"));
