//! Owns the version of the running kernel, for what it does differently without saying so.

/// Whether a kernel of at least this version runs: the two numbers with which a release begins.
pub(crate) fn is_at_least(wanted: (u32, u32)) -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|word| word.parse::<u32>().ok());
    numbers.next().zip(numbers.next()).is_some_and(|version| version >= wanted)
}

#[cfg(test)]
mod tests {
    use super::is_at_least;

    #[test]
    fn the_running_kernel_has_a_version() {
        assert!(is_at_least((2, 6)) && !is_at_least((1000, 0)));
    }
}
