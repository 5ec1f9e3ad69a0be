include!(concat!(env!("OUT_DIR"), "/task_local_set.rs"));
