include!(concat!(env!("OUT_DIR"), "/net_panic.rs"));
