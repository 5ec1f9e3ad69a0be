include!(concat!(env!("OUT_DIR"), "/task_join_set.rs"));
