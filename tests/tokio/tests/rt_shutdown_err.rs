include!(concat!(env!("OUT_DIR"), "/rt_shutdown_err.rs"));
