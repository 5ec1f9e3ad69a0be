include!(concat!(env!("OUT_DIR"), "/io_panic.rs"));
