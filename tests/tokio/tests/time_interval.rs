include!(concat!(env!("OUT_DIR"), "/time_interval.rs"));
