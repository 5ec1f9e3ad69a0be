include!(concat!(env!("OUT_DIR"), "/tcp_socket.rs"));
