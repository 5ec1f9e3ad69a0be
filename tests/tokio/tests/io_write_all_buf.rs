include!(concat!(env!("OUT_DIR"), "/io_write_all_buf.rs"));
