include!(concat!(env!("OUT_DIR"), "/unwindsafe.rs"));
