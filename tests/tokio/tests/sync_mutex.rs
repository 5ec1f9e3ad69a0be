include!(concat!(env!("OUT_DIR"), "/sync_mutex.rs"));
