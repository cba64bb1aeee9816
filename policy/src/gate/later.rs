//! What runs on the user's machine later, without anybody starting it by name: a data table.
//!
//! A file is in it when some everyday tool executes it, or what it names, as a side effect of another step:
//! opening the folder, entering the directory, committing, building, testing. A program that a person starts
//! by its own name is not in it.

/// What a file is known by. Case does not count: some of these tools look for several spellings, and some file
/// systems have but one.
enum By {
    /// Its name, at any depth.
    Name(&'static str),
    /// The end of its name, at any depth.
    Ending(&'static str),
    /// The path from the root of the workspace.
    Path(&'static str),
    /// Anything in this directory, which lies at any depth.
    In(&'static str),
}

use By::{Ending, In, Name, Path};

const COMMIT: &str = "git commits, merges, rebases, pushes or checks out here";
const GIT: &str = "any git command is used here: it can name programs to run";
const FILTERS: &str = "git reads or writes the files that it names: it assigns filters and diff programs";
const OPEN: &str = "this folder is opened in an editor";
const AGENT: &str = "a coding agent is started here: it names commands and servers";
const CI: &str = "this is pushed: the CI server runs it";
const MAKE: &str = "the project is built with it";
const ENTER: &str = "this directory is entered";
const SHELL: &str = "a shell starts with this as its home, or reads it";
const TESTS: &str = "the tests are run";
const PYTHON: &str = "the project is installed or built with pip";
const STARTS: &str = "a Python interpreter starts with this on its path";
const CARGO: &str = "cargo is used here";
const NODE: &str = "npm, yarn or pnpm are used here";
const IMAGE: &str = "a container is built or started from it";
const JVM: &str = "the project is built with Gradle, Maven or sbt";
const DEBUG: &str = "a debugger is started here";
const POLICY: &str = "shieldrun is started here: it is the policy of that run";
const TASKS: &str = "its task runner is used";

/// `.git` itself is dealt with by git; these of its files come by review only.
const TABLE: &[(By, &str)] = &[
    (Path("sandbox-policy.yaml"), POLICY),
    (In(".git/hooks"), COMMIT),
    (Path(".git/config"), GIT),
    (Path(".git/config.worktree"), GIT),
    (In(".git/info"), FILTERS),
    (In(".git/modules"), GIT),
    (Name(".gitattributes"), FILTERS),
    (Name(".gitmodules"), GIT),
    (In(".githooks"), COMMIT),
    (In(".husky"), COMMIT),
    (Name(".pre-commit-config.yaml"), COMMIT),
    (Name(".pre-commit-hooks.yaml"), COMMIT),
    (Name("lefthook.yml"), COMMIT),
    (Name(".lefthook.yml"), COMMIT),
    (Name(".lintstagedrc"), COMMIT),
    (Name(".lintstagedrc.json"), COMMIT),
    (In(".vscode"), OPEN),
    (Ending(".code-workspace"), OPEN),
    (In(".devcontainer"), OPEN),
    (Name(".devcontainer.json"), OPEN),
    (In(".idea"), OPEN),
    (In(".fleet"), OPEN),
    (In(".zed"), OPEN),
    (Name(".exrc"), OPEN),
    (Name(".vimrc"), OPEN),
    (Name(".nvimrc"), OPEN),
    (Name(".nvim.lua"), OPEN),
    (Name(".dir-locals.el"), OPEN),
    (Name(".editorconfig.lua"), OPEN),
    (In(".claude"), AGENT),
    (In(".cursor"), AGENT),
    (In(".codex"), AGENT),
    (In(".gemini"), AGENT),
    (Name(".mcp.json"), AGENT),
    (Name("mcp.json"), AGENT),
    (Name(".aider.conf.yml"), AGENT),
    (In(".github/workflows"), CI),
    (In(".github/actions"), CI),
    (In(".gitea/workflows"), CI),
    (In(".forgejo/workflows"), CI),
    (In(".circleci"), CI),
    (In(".buildkite"), CI),
    (In(".gitlab"), CI),
    (Name(".gitlab-ci.yml"), CI),
    (Name(".travis.yml"), CI),
    (Name(".drone.yml"), CI),
    (Name(".woodpecker.yml"), CI),
    (In(".woodpecker"), CI),
    (Name("azure-pipelines.yml"), CI),
    (Name("bitbucket-pipelines.yml"), CI),
    (Name("appveyor.yml"), CI),
    (Name(".appveyor.yml"), CI),
    (Name(".cirrus.yml"), CI),
    (Name("Jenkinsfile"), CI),
    (Name("cloudbuild.yaml"), CI),
    (Name("action.yml"), CI),
    (Name("action.yaml"), CI),
    (Name("Makefile"), MAKE),
    (Name("GNUmakefile"), MAKE),
    (Name("BSDmakefile"), MAKE),
    (Ending(".mk"), MAKE),
    (Ending(".mak"), MAKE),
    (Name("CMakeLists.txt"), MAKE),
    (Ending(".cmake"), MAKE),
    (Name("meson.build"), MAKE),
    (Name("configure"), MAKE),
    (Name("configure.ac"), MAKE),
    (Name("SConstruct"), MAKE),
    (Name("SConscript"), MAKE),
    (Name("wscript"), MAKE),
    (Name("BUILD.bazel"), MAKE),
    (Name("WORKSPACE"), MAKE),
    (Name(".bazelrc"), MAKE),
    (Name("build.ninja"), MAKE),
    (Name("build.zig"), MAKE),
    (Name("mix.exs"), MAKE),
    (Name("Rakefile"), MAKE),
    (Name("Gemfile"), MAKE),
    (Ending(".gemspec"), MAKE),
    (Name("Package.swift"), MAKE),
    (Ending(".csproj"), MAKE),
    (Name("Directory.Build.props"), MAKE),
    (Name("Directory.Build.targets"), MAKE),
    (Name("justfile"), TASKS),
    (Name(".justfile"), TASKS),
    (Name("Taskfile.yml"), TASKS),
    (Name("Taskfile.yaml"), TASKS),
    (Name("Procfile"), TASKS),
    (Name("Vagrantfile"), IMAGE),
    (Name("Dockerfile"), IMAGE),
    (Name("Containerfile"), IMAGE),
    (Ending(".dockerfile"), IMAGE),
    (Name("docker-compose.yml"), IMAGE),
    (Name("docker-compose.yaml"), IMAGE),
    (Name("compose.yml"), IMAGE),
    (Name("compose.yaml"), IMAGE),
    (Name("build.rs"), CARGO),
    (In(".cargo"), CARGO),
    (Name("rust-toolchain.toml"), CARGO),
    (Name("rust-toolchain"), CARGO),
    (Name("conftest.py"), TESTS),
    (Name("noxfile.py"), TESTS),
    (Name("tox.ini"), TESTS),
    (Name("pytest.ini"), TESTS),
    (Name("setup.py"), PYTHON),
    (Name("sitecustomize.py"), STARTS),
    (Name("usercustomize.py"), STARTS),
    (Ending(".pth"), STARTS),
    (Name(".npmrc"), NODE),
    (Name(".yarnrc"), NODE),
    (Name(".yarnrc.yml"), NODE),
    (In(".yarn/releases"), NODE),
    (In(".yarn/plugins"), NODE),
    (Name(".pnpmfile.cjs"), NODE),
    (Name("binding.gyp"), NODE),
    (Name("gruntfile.js"), NODE),
    (Name("gulpfile.js"), NODE),
    (Name("jest.config.js"), TESTS),
    (Name("vitest.config.ts"), TESTS),
    (Name("gradlew"), JVM),
    (Name("mvnw"), JVM),
    (In("gradle/wrapper"), JVM),
    (Ending(".gradle"), JVM),
    (Ending(".gradle.kts"), JVM),
    (Name("pom.xml"), JVM),
    (In(".mvn"), JVM),
    (Name("build.sbt"), JVM),
    (Name(".envrc"), ENTER),
    (Name(".mise.toml"), ENTER),
    (Name("mise.toml"), ENTER),
    (Name(".autoenv"), ENTER),
    (Name("shell.nix"), ENTER),
    (Name("flake.nix"), ENTER),
    (Name(".bashrc"), SHELL),
    (Name(".bash_profile"), SHELL),
    (Name(".profile"), SHELL),
    (Name(".zshrc"), SHELL),
    (Name(".zshenv"), SHELL),
    (Name(".gdbinit"), DEBUG),
    (Name(".lldbinit"), DEBUG),
];

/// Ends the sentence "runs on your machine when …", if this is such a file.
pub(super) fn when(path: &[u8]) -> Option<&'static str> {
    TABLE.iter().find(|(by, _)| by.is(path)).map(|(_, when)| *when)
}

/// The same for the scripts of a `package.json`, of which only a change of the scripts counts.
pub(super) const PACKAGE_SCRIPTS: &str = NODE;

impl By {
    fn is(&self, path: &[u8]) -> bool {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        match self {
            Name(own) => name.eq_ignore_ascii_case(own.as_bytes()),
            Ending(own) => name
                .len()
                .checked_sub(own.len())
                .and_then(|at| name.get(at..))
                .is_some_and(|end| end.eq_ignore_ascii_case(own.as_bytes())),
            Path(own) => path.eq_ignore_ascii_case(own.as_bytes()),
            In(own) => is_in(own.as_bytes(), path),
        }
    }
}

/// Whether the path has this directory, of one name or several, somewhere above its last part.
fn is_in(directory: &[u8], path: &[u8]) -> bool {
    path.len() > directory.len()
        && (0..path.len() - directory.len()).any(|at| {
            (at == 0 || path.get(at - 1) == Some(&b'/'))
                && path.get(at + directory.len()) == Some(&b'/')
                && path.get(at..at + directory.len()).is_some_and(|part| part.eq_ignore_ascii_case(directory))
        })
}

#[cfg(test)]
mod tests {
    use super::when;

    #[test]
    fn what_runs_later_is_known_and_what_does_not_is_left_alone() {
        for (path, expected) in [
            (".git/hooks/pre-commit", true),
            ("vendor/thing/.git/hooks/post-checkout", true),
            (".git/config", true),
            (".git/info/attributes", true),
            (".github/workflows/ci.yml", true),
            ("sub/.vscode/tasks.json", true),
            ("MAKEFILE", true),
            ("rules.mk", true),
            ("a/b/conftest.py", true),
            ("build.rs", true),
            (".envrc", true),
            ("docker/app.Dockerfile", true),
            (".cargo/config.toml", true),
            ("src/main.rs", false),
            ("app.py", false),
            ("README.md", false),
            (".github/CODEOWNERS", false),
            ("package.json", false),
            ("vscode/tasks.json", false),
            ("x.vscode/y", false),
            (".vscode", false),
            ("makefile.txt", false),
            ("", false),
        ] {
            assert_eq!(when(path.as_bytes()).is_some(), expected, "{path}");
        }
    }
}
