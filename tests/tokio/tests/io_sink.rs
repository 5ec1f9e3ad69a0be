include!(concat!(env!("OUT_DIR"), "/io_sink.rs"));
