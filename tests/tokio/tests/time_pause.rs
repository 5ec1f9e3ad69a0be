include!(concat!(env!("OUT_DIR"), "/time_pause.rs"));
