include!(concat!(env!("OUT_DIR"), "/net_bind_resource.rs"));
