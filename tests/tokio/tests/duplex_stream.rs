include!(concat!(env!("OUT_DIR"), "/duplex_stream.rs"));
