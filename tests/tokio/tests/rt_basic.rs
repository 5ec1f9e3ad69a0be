include!(concat!(env!("OUT_DIR"), "/rt_basic.rs"));
