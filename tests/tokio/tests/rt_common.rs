include!(concat!(env!("OUT_DIR"), "/rt_common.rs"));
