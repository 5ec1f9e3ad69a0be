include!(concat!(env!("OUT_DIR"), "/io_copy.rs"));
