//! `shieldrun`.

#[allow(dead_code, reason = "used by spawn, once the stages are wired")]
mod guest_table;

// Until the stages are wired: the parts of `sys` that stand alone, with their tests.
#[allow(dead_code, unsafe_code, reason = "used by claims, once the stages are wired")]
mod sys {
    pub(crate) mod pidns;
    pub(crate) mod ring;
}

fn main() {}
