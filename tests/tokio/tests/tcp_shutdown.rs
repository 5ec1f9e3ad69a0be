include!(concat!(env!("OUT_DIR"), "/tcp_shutdown.rs"));
