include!(concat!(env!("OUT_DIR"), "/io_write_int.rs"));
