include!(concat!(env!("OUT_DIR"), "/sync_mpsc_weak.rs"));
