include!(concat!(env!("OUT_DIR"), "/tcp_peek.rs"));
