include!(concat!(env!("OUT_DIR"), "/rt_panic.rs"));
