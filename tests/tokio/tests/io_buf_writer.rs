include!(concat!(env!("OUT_DIR"), "/io_buf_writer.rs"));
