include!(concat!(env!("OUT_DIR"), "/time_rt.rs"));
