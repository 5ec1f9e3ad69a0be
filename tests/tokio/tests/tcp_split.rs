include!(concat!(env!("OUT_DIR"), "/tcp_split.rs"));
