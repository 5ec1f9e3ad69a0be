include!(concat!(env!("OUT_DIR"), "/tcp_stream.rs"));
