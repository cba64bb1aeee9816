//! Ways to leave something behind on the host.

use super::{Way, write};

pub(super) const WAYS: &[Way] = &[
    write("shell-start", "a line in a shell's start file", "echo hello >> ~/.bashrc", |field| {
        field.home.join(".bashrc")
    }),
    write(
        "authorized-keys",
        "a key that may log in",
        "mkdir -p ~/.ssh && echo key >> ~/.ssh/authorized_keys",
        |field| field.home.join(".ssh/authorized_keys"),
    ),
    write(
        "git-configuration",
        "a setting of git for all projects",
        "git config --global core.pager 'sh -c id'",
        |field| field.home.join(".gitconfig"),
    ),
    write(
        "autostart",
        "a program that starts with the desktop",
        "mkdir -p ~/.config/autostart && echo x > ~/.config/autostart/x.desktop",
        |field| field.home.join(".config/autostart/x.desktop"),
    ),
    write(
        "program-path",
        "a program in ~/.local/bin",
        "mkdir -p ~/.local/bin && echo x > ~/.local/bin/git",
        |field| field.home.join(".local/bin/git"),
    ),
    write("other-project-file", "a file of another project", "echo x >> ~/other/main.py", |field| {
        field.home.join("other/main.py")
    }),
    write("delete-elsewhere", "a file of the home, deleted", "rm -f ~/notes.txt", |field| {
        field.home.join("notes.txt")
    }),
    write("chmod-elsewhere", "a file of the home, made readable", "chmod 0666 ~/notes.txt", |field| {
        field.home.join("notes.txt")
    }),
    write("host-tmp", "a file in the host's /tmp", "echo x >> \"$SELFTEST_TMP\"", |field| field.tmp.clone()),
    write("secret-file", "the secret file itself", "echo x >> .env", |field| field.project.join(".env")),
    write("secret-file-gone", "the secret file, deleted", "rm -f service/.env", |field| {
        field.project.join("service/.env")
    }),
    write(
        "run-records",
        "the records of runs",
        "for file in \"$SELFTEST_STATE\"/shieldrun/runs/*/events.jsonl \"$SELFTEST_STATE/record\"; do echo x >> \"$file\"; done",
        |field| field.state.join("record"),
    ),
    write(
        "git-hook",
        "a hook of git in the project",
        "echo id > .git/hooks/post-checkout && chmod +x .git/hooks/post-checkout",
        |field| field.project.join(".git/hooks/post-checkout"),
    ),
    write(
        "git-own-configuration",
        "a program in the project's own git configuration",
        "git config core.fsmonitor ./x",
        |field| field.project.join(".git/config"),
    ),
    write(
        "workflow",
        "a workflow of the code host",
        "mkdir -p .github/workflows && echo x > .github/workflows/x.yml",
        |field| field.project.join(".github/workflows/x.yml"),
    ),
    write(
        "editor-task",
        "a task that an editor starts",
        "mkdir -p .vscode && echo '{}' > .vscode/tasks.json",
        |field| field.project.join(".vscode/tasks.json"),
    ),
    write(
        "next-policy",
        "the policy of the next run",
        "echo 'isolation: full' > sandbox-policy.yaml",
        |field| field.project.join("sandbox-policy.yaml"),
    ),
    write(
        "attributes",
        "attributes of git that name a filter",
        "echo '*.py filter=x' > .gitattributes",
        |field| field.project.join(".gitattributes"),
    ),
    write("hooks-path", "another place of git's hooks", "git config core.hooksPath ./hooks", |field| {
        field.project.join(".git/config")
    }),
    write(
        "package-scripts",
        "a script that the next install runs",
        "echo '{\"scripts\":{\"postinstall\":\"id\"}}' > package.json",
        |field| field.project.join("package.json"),
    ),
    write(
        "through-link",
        "a file outside, through a link made inside",
        "ln -s ~/other/linked.txt outward && echo x >> outward",
        |field| field.home.join("other/linked.txt"),
    ),
    write(
        "directory-becomes-link",
        "a directory that becomes a link to one outside, and a file in it",
        "rm -rf config && ln -s ~/other config && echo x > config/entered.py",
        |field| field.home.join("other/entered.py"),
    ),
    write("build-script", "a file that the next build runs", "printf 'all:\n\tid\n' > Makefile", |field| {
        field.project.join("Makefile")
    }),
    write("link-outside", "a link that leads out of the project", "ln -s /etc/passwd innocent", |field| {
        field.project.join("innocent")
    }),
];
