include!(concat!(env!("OUT_DIR"), "/uds_datagram.rs"));
