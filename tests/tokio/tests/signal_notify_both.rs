include!(concat!(env!("OUT_DIR"), "/signal_notify_both.rs"));
