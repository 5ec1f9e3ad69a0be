include!(concat!(env!("OUT_DIR"), "/sync_set_once.rs"));
