include!(concat!(env!("OUT_DIR"), "/sync_barrier.rs"));
