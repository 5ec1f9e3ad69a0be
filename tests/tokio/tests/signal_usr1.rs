include!(concat!(env!("OUT_DIR"), "/signal_usr1.rs"));
