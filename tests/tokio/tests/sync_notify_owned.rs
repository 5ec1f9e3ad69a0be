include!(concat!(env!("OUT_DIR"), "/sync_notify_owned.rs"));
