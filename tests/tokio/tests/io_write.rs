include!(concat!(env!("OUT_DIR"), "/io_write.rs"));
