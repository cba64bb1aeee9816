//! `shieldrun`.
fn main() {}
