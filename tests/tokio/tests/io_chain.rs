include!(concat!(env!("OUT_DIR"), "/io_chain.rs"));
