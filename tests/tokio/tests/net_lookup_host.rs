include!(concat!(env!("OUT_DIR"), "/net_lookup_host.rs"));
