include!(concat!(env!("OUT_DIR"), "/sync_broadcast.rs"));
