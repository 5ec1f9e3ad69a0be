//! The package of the example programs; each of them is a file beside this folder.
