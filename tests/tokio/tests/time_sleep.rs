include!(concat!(env!("OUT_DIR"), "/time_sleep.rs"));
