include!(concat!(env!("OUT_DIR"), "/rt_handle.rs"));
