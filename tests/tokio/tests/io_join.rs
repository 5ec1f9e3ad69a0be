include!(concat!(env!("OUT_DIR"), "/io_join.rs"));
