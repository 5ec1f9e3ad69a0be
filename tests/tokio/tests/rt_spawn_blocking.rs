include!(concat!(env!("OUT_DIR"), "/rt_spawn_blocking.rs"));
