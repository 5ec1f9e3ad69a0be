include!(concat!(env!("OUT_DIR"), "/rt_time_start_paused.rs"));
