include!(concat!(env!("OUT_DIR"), "/sync_errors.rs"));
