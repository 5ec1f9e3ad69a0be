include!(concat!(env!("OUT_DIR"), "/udp.rs"));
