include!(concat!(env!("OUT_DIR"), "/io_read_buf.rs"));
