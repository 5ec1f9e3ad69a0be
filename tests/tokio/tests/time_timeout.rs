include!(concat!(env!("OUT_DIR"), "/time_timeout.rs"));
