include!(concat!(env!("OUT_DIR"), "/signal_multi_rt.rs"));
