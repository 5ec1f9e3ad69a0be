include!(concat!(env!("OUT_DIR"), "/sync_oneshot.rs"));
