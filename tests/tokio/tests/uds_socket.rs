include!(concat!(env!("OUT_DIR"), "/uds_socket.rs"));
