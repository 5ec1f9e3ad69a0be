include!(concat!(env!("OUT_DIR"), "/io_repeat.rs"));
