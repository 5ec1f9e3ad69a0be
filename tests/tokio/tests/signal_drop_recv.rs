include!(concat!(env!("OUT_DIR"), "/signal_drop_recv.rs"));
