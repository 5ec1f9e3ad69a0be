include!(concat!(env!("OUT_DIR"), "/io_async_read.rs"));
