include!(concat!(env!("OUT_DIR"), "/io_read_to_string.rs"));
