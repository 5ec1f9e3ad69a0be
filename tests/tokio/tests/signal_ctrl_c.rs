include!(concat!(env!("OUT_DIR"), "/signal_ctrl_c.rs"));
