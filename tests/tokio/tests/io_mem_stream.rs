include!(concat!(env!("OUT_DIR"), "/io_mem_stream.rs"));
