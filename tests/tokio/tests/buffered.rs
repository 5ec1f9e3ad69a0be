include!(concat!(env!("OUT_DIR"), "/buffered.rs"));
