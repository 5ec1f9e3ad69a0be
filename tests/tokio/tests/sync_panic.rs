include!(concat!(env!("OUT_DIR"), "/sync_panic.rs"));
