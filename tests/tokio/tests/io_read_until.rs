include!(concat!(env!("OUT_DIR"), "/io_read_until.rs"));
