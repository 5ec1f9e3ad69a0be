include!(concat!(env!("OUT_DIR"), "/signal_no_rt.rs"));
