include!(concat!(env!("OUT_DIR"), "/io_copy_bidirectional.rs"));
