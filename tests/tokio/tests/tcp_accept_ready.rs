include!(concat!(env!("OUT_DIR"), "/tcp_accept_ready.rs"));
