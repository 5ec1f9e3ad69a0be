include!(concat!(env!("OUT_DIR"), "/signal_realtime.rs"));
