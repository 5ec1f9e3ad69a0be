include!(concat!(env!("OUT_DIR"), "/io_buf_reader.rs"));
