include!(concat!(env!("OUT_DIR"), "/uds_cred.rs"));
