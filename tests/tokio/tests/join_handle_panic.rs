include!(concat!(env!("OUT_DIR"), "/join_handle_panic.rs"));
