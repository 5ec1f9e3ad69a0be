include!(concat!(env!("OUT_DIR"), "/uds_split.rs"));
