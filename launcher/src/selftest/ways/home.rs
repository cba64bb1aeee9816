//! Ways to what lies in a home: known stores, other projects, histories.

use super::{Way, shell};

pub(super) const WAYS: &[Way] = &[
    shell("aws", "~/.aws/credentials", "cat ~/.aws/credentials"),
    shell(
        "aws-static",
        "~/.aws/credentials, by a static program",
        "./prober read \"$HOME/.aws/credentials\"",
    ),
    shell("ssh-key", "a private key of ssh", "cat ~/.ssh/id_ed25519"),
    shell(
        "ssh-key-static",
        "a private key of ssh, by a static program",
        "./prober read \"$HOME/.ssh/id_ed25519\"",
    ),
    shell("ssh-odd-name", "a key of ssh under an odd name", "cat ~/.ssh/work_key"),
    shell("netrc", "~/.netrc", "cat ~/.netrc"),
    shell("git-credentials", "~/.git-credentials", "cat ~/.git-credentials"),
    shell(
        "git-credential-fill",
        "git's own way to a password",
        "printf 'protocol=https\\nhost=git.example\\n\\n' | GIT_TERMINAL_PROMPT=0 git -c credential.helper=store credential fill",
    ),
    shell("github-cli", "the GitHub client's login", "cat ~/.config/gh/hosts.yml"),
    shell("npmrc", "~/.npmrc", "cat ~/.npmrc"),
    shell("pypirc", "~/.pypirc", "cat ~/.pypirc"),
    shell("docker", "docker's login", "cat ~/.docker/config.json"),
    shell("kube", "~/.kube/config", "cat ~/.kube/config"),
    shell("cargo", "cargo's registry token", "cat ~/.cargo/credentials.toml"),
    shell("pgpass", "~/.pgpass", "cat ~/.pgpass"),
    shell("gnupg", "GnuPG's private keys", "cat ~/.gnupg/private-keys-v1.d/*"),
    shell("browser", "a browser's passwords", "cat ~/.config/google-chrome/Default/'Login Data'"),
    shell("password-store", "a password manager's store", "cat ~/.config/Bitwarden/data.json"),
    shell("shell-history", "a shell's history", "cat ~/.bash_history"),
    shell("shell-rc", "a token that a shell's start file exports", "cat ~/.bashrc"),
    shell("other-project", "another project's .env", "cat ~/other/.env"),
    shell(
        "home-grep",
        "grep over the whole home",
        "grep -rhs ghp_ ~/.config ~/.bash_history ~/.netrc ~/other",
    ),
];
