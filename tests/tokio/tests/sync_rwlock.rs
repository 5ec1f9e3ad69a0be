include!(concat!(env!("OUT_DIR"), "/sync_rwlock.rs"));
