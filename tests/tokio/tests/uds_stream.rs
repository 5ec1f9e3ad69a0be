include!(concat!(env!("OUT_DIR"), "/uds_stream.rs"));
