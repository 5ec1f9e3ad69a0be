include!(concat!(env!("OUT_DIR"), "/sync_watch.rs"));
