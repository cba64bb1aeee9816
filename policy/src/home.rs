//! Owns which parts of a home directory a build needs, as data. All else of the home is absent inside.
//!
//! A path here must hold programs, libraries, caches or settings, and nothing that a person would call
//! theirs. Secrets among them (a registry's token in `.npmrc`) are the secret places' business: a path
//! that is here and there is shown masked.

/// Directories of toolchains and caches, relative to the home: readable, and writable into a layer of the run.
pub const DIRECTORIES: &[&str] = &[
    ".asdf",
    ".bazel",
    ".bun",
    ".bundle",
    ".cabal",
    ".cache/Cypress",
    ".cache/bazel",
    ".cache/bazelisk",
    ".cache/ccache",
    ".cache/composer",
    ".cache/coursier",
    ".cache/deno",
    ".cache/go-build",
    ".cache/golangci-lint",
    ".cache/mise",
    ".cache/ms-playwright",
    ".cache/node",
    ".cache/node-gyp",
    ".cache/pip",
    ".cache/pip-tools",
    ".cache/pnpm",
    ".cache/pre-commit",
    ".cache/puppeteer",
    ".cache/pypoetry",
    ".cache/sccache",
    ".cache/typescript",
    ".cache/uv",
    ".cache/yarn",
    ".cache/zig",
    ".cargo",
    ".ccache",
    ".conda",
    ".config/composer",
    ".config/git",
    ".config/mise",
    ".config/pip",
    ".config/pypoetry",
    ".config/uv",
    ".config/yarn",
    ".cpan",
    ".deno",
    ".dotnet",
    ".elan",
    ".fnm",
    ".gem",
    ".ghcup",
    ".goenv",
    ".gradle",
    ".hex",
    ".ivy2",
    ".jenv",
    ".juliaup",
    ".konan",
    ".local/bin",
    ".local/include",
    ".local/lib",
    ".local/share/fnm",
    ".local/share/gem",
    ".local/share/mise",
    ".local/share/pipx",
    ".local/share/pnpm",
    ".local/share/uv",
    ".local/share/virtualenvs",
    ".local/share/zig",
    ".m2",
    ".mix",
    ".nodenv",
    ".npm",
    ".npm-global",
    ".nuget/packages",
    ".nvm",
    ".opam",
    ".phpenv",
    ".pip",
    ".pnpm-store",
    ".poetry",
    ".pub-cache",
    ".pyenv",
    ".rbenv",
    ".rustup",
    ".rvm",
    ".rye",
    ".sbt",
    ".sdkman",
    ".stack",
    ".swiftly",
    ".terraform.d/plugin-cache",
    ".volta",
    ".yarn",
    ".zvm",
    "anaconda3",
    "go",
    "mambaforge",
    "micromamba",
    "miniconda3",
    "miniforge3",
];

/// Settings, as copies: programs replace them by renaming, which a mount would forbid.
pub const FILES: &[&str] = &[
    ".asdfrc",
    ".bash_profile",
    ".bashrc",
    ".bunfig.toml",
    ".clang-format",
    ".condarc",
    ".default-cargo-crates",
    ".default-npm-packages",
    ".default-python-packages",
    ".editorconfig",
    ".gemrc",
    ".gitattributes",
    ".gitconfig",
    ".gitignore",
    ".gitignore_global",
    ".inputrc",
    ".mavenrc",
    ".node-version",
    ".npmrc",
    ".nvmrc",
    ".pg_service.conf",
    ".profile",
    ".python-version",
    ".ruby-version",
    ".tool-versions",
    ".wgetrc",
    ".yarnrc",
    ".yarnrc.yml",
    ".zprofile",
    ".zshenv",
    ".zshrc",
];

/// Variables that name such a directory where it is not at its usual place.
pub const VARIABLES: &[&str] = &[
    "ASDF_DATA_DIR",
    "ASDF_DIR",
    "BUN_INSTALL",
    "CABAL_DIR",
    "CARGO_HOME",
    "CCACHE_DIR",
    "COMPOSER_HOME",
    "CONDA_PREFIX",
    "DENO_DIR",
    "DENO_INSTALL",
    "DOTNET_ROOT",
    "FNM_DIR",
    "FNM_MULTISHELL_PATH",
    "GEM_HOME",
    "GOCACHE",
    "GOMODCACHE",
    "GOPATH",
    "GOROOT",
    "GRADLE_HOME",
    "GRADLE_USER_HOME",
    "JAVA_HOME",
    "MAMBA_ROOT_PREFIX",
    "MISE_DATA_DIR",
    "NPM_CONFIG_CACHE",
    "NPM_CONFIG_PREFIX",
    "NUGET_PACKAGES",
    "NVM_DIR",
    "OPAMROOT",
    "PIPX_HOME",
    "PIP_CACHE_DIR",
    "PLAYWRIGHT_BROWSERS_PATH",
    "PNPM_HOME",
    "POETRY_CACHE_DIR",
    "PYENV_ROOT",
    "RBENV_ROOT",
    "RUSTUP_HOME",
    "SCCACHE_DIR",
    "SDKMAN_DIR",
    "STACK_ROOT",
    "UV_CACHE_DIR",
    "UV_PYTHON_INSTALL_DIR",
    "UV_TOOL_DIR",
    "VIRTUAL_ENV",
    "VOLTA_HOME",
    "YARN_CACHE_FOLDER",
    "npm_config_cache",
    "npm_config_prefix",
];

/// Directories of `/home` that are nobody's home.
pub const NO_HOMES: &[&str] = &["/home/linuxbrew/.linuxbrew"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_and_stay_beneath_the_home() {
        for table in [DIRECTORIES, FILES, VARIABLES] {
            assert!(table.is_sorted());
        }
        for path in DIRECTORIES.iter().chain(FILES) {
            assert!(!path.starts_with('/') && !path.split('/').any(|part| matches!(part, "" | "." | "..")));
        }
    }

    #[test]
    fn none_lies_beneath_another() {
        for path in DIRECTORIES {
            let above = |other: &&&str| path.strip_prefix(**other).is_some_and(|rest| rest.starts_with('/'));
            assert_eq!(DIRECTORIES.iter().find(above), None, "{path}");
        }
    }
}
