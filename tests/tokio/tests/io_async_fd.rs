include!(concat!(env!("OUT_DIR"), "/io_async_fd.rs"));
