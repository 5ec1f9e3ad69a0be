include!(concat!(env!("OUT_DIR"), "/sync_mpsc.rs"));
