include!(concat!(env!("OUT_DIR"), "/tcp_connect.rs"));
