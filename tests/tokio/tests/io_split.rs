include!(concat!(env!("OUT_DIR"), "/io_split.rs"));
