include!(concat!(env!("OUT_DIR"), "/net_quickack.rs"));
