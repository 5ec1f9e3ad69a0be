include!(concat!(env!("OUT_DIR"), "/tcp_accept.rs"));
