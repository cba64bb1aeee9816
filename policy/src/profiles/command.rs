//! Tells the agent by the command: its base name, or what a runner of packages or an interpreter is given.
//!
//! This chooses what is helpful, never what is allowed, so a command that lies about itself gains nothing.

use super::{PROFILES, Profile};

/// Programs that run a package, and the word before the package where there is one.
const RUNNERS: &[(&str, &[&str])] = &[
    ("npx", &[]),
    ("bunx", &[]),
    ("pnpx", &[]),
    ("uvx", &[]),
    ("npm", &["exec", "x"]),
    ("pnpm", &["dlx", "exec"]),
    ("yarn", &["dlx"]),
    ("bun", &["x"]),
    ("uv", &["run"]),
    ("pipx", &["run"]),
];

/// Programs that run a script.
const INTERPRETERS: &[&str] = &["node", "nodejs", "bun", "deno", "python", "python3"];

/// Options of runners and interpreters whose value is the next word.
const WITH_VALUE: &[&str] = &[
    "-r",
    "--require",
    "--import",
    "-W",
    "-X",
    "--python",
    "--with",
    "--index",
    "--index-url",
    "--registry",
    "--cache",
    "--env-file",
];

/// Options that name the package or the module.
const NAMES_PACKAGE: &[&str] = &["-p", "--package", "--from", "--spec", "-m"];

/// The profile of a command, if it is an agent that we know.
pub fn of_command(command: &[Vec<u8>]) -> Option<&'static Profile> {
    let words: Vec<&str> = command.iter().map_while(|word| std::str::from_utf8(word).ok()).collect();
    let (program, rest) = words.split_first()?;
    let program = base_name(program);
    if let Some(profile) = by_command(program) {
        return Some(profile);
    }
    if let Some((_, verbs)) = RUNNERS.iter().find(|(name, _)| *name == program) {
        let rest = match rest.split_first() {
            Some((verb, rest)) if verbs.contains(verb) => Some(rest),
            _ => verbs.is_empty().then_some(rest),
        };
        if let Some(found) = rest.and_then(by_package_argument) {
            return Some(found);
        }
    }
    INTERPRETERS.contains(&program).then(|| by_script_argument(rest)).flatten()
}

fn by_command(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name || profile.commands.contains(&name))
}

/// `@scope/name@1.2`, `name==1.2`, `name[extra]`.
fn by_package(word: &str) -> Option<&'static Profile> {
    let end = word.char_indices().skip(1).find(|(_, c)| matches!(c, '@' | '=' | '[' | '<' | '>' | '~'));
    let name = end.map_or(word, |(at, _)| &word[..at]);
    PROFILES.iter().find(|profile| profile.packages.contains(&name))
}

fn by_package_argument(words: &[&str]) -> Option<&'static Profile> {
    match argument(words)? {
        Argument::Package(word) => by_package(word),
        Argument::First(word) => by_package(word).or_else(|| by_command(word)),
    }
}

/// The directory of a package on the way to the script says whose it is; a module's name does too.
fn by_script_argument(words: &[&str]) -> Option<&'static Profile> {
    match argument(words)? {
        Argument::Package(module) => {
            let module = module.split('.').next().unwrap_or(module);
            by_package(module).or_else(|| by_command(module))
        }
        Argument::First(script) => {
            let of_package = script.rsplit_once("node_modules/").and_then(|(_, inside)| {
                let owns = |package: &&&str| {
                    inside.strip_prefix(**package).is_some_and(|rest| rest.starts_with('/'))
                };
                PROFILES.iter().find(|profile| profile.packages.iter().any(|package| owns(&package)))
            });
            of_package.or_else(|| by_command(base_name(script)))
        }
    }
}

enum Argument<'a> {
    /// What an option says is the package or the module.
    Package(&'a str),
    /// The first word that is no option.
    First(&'a str),
}

fn argument<'a>(words: &[&'a str]) -> Option<Argument<'a>> {
    let mut words = words.iter().copied();
    while let Some(word) = words.next() {
        if NAMES_PACKAGE.contains(&word) {
            return words.next().map(Argument::Package);
        }
        if let Some((option, value)) = word.split_once('=')
            && NAMES_PACKAGE.contains(&option)
        {
            return Some(Argument::Package(value));
        }
        if WITH_VALUE.contains(&word) {
            words.next();
        } else if !word.starts_with('-') {
            return Some(Argument::First(word));
        }
    }
    None
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
