include!(concat!(env!("OUT_DIR"), "/io_util_empty.rs"));
