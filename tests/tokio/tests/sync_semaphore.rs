include!(concat!(env!("OUT_DIR"), "/sync_semaphore.rs"));
