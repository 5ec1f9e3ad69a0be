include!(concat!(env!("OUT_DIR"), "/no_rt.rs"));
