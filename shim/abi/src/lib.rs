//! Record layout shared by the shim and the launcher.
#![no_std]
