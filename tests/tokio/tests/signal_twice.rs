include!(concat!(env!("OUT_DIR"), "/signal_twice.rs"));
