include!(concat!(env!("OUT_DIR"), "/net_unix_pipe.rs"));
