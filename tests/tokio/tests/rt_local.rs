include!(concat!(env!("OUT_DIR"), "/rt_local.rs"));
