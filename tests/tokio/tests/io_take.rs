include!(concat!(env!("OUT_DIR"), "/io_take.rs"));
