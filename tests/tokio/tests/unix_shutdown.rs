include!(concat!(env!("OUT_DIR"), "/unix_shutdown.rs"));
