include!(concat!(env!("OUT_DIR"), "/tcp_into_split.rs"));
