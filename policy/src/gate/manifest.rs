//! Manifests: files that are edited every day, of which some part is run. Only a change of that part counts.
//!
//! Asked by the diff while it has the content in its hands.

use serde_json::{Map, Value as Json};
use toml_edit::{Document, Item, Value as Toml};

use super::later;

/// Which of them it is, and what of it is run, as pointers.
struct Manifest {
    name: &'static str,
    form: Form,
    runs: &'static [&'static str],
    when: &'static str,
}

#[derive(Clone, Copy)]
enum Form {
    Json,
    Toml,
}

const TABLE: &[Manifest] = &[
    Manifest {
        name: "package.json",
        form: Form::Json,
        // Tools keep hooks and settings of their own in it, which run, or name code, as scripts do.
        runs: &[
            "/scripts",
            "/husky",
            "/pre-commit",
            "/lint-staged",
            "/simple-git-hooks",
            "/gypfile",
            "/jest",
            "/babel",
            "/ava",
            "/mocha",
            "/eslintConfig",
            "/prettier",
            "/stylelint",
            "/pnpm",
        ],
        when: "npm, yarn or pnpm are used here, or a tool that it configures: scripts",
    },
    Manifest {
        name: "composer.json",
        form: Form::Json,
        runs: &["/scripts", "/config/allow-plugins"],
        when: "composer is used here: scripts",
    },
    Manifest { name: "deno.json", form: Form::Json, runs: &["/tasks"], when: "deno is used here: tasks" },
    Manifest { name: "deno.jsonc", form: Form::Json, runs: &["/tasks"], when: "deno is used here: tasks" },
    Manifest {
        name: "pyproject.toml",
        form: Form::Toml,
        runs: &[
            "/build-system",
            "/tool/pytest",
            "/tool/coverage",
            "/tool/tox",
            "/tool/nox",
            "/tool/mypy",
            "/tool/pylint",
            "/tool/hatch",
            "/tool/pdm/build",
            "/tool/pdm/scripts",
            "/tool/poe",
            "/tool/taskipy",
            "/tool/rye/scripts",
            "/tool/pixi",
            "/tool/poetry/build",
            "/tool/setuptools",
            "/tool/cibuildwheel",
            "/tool/semantic_release",
            "/tool/commitizen",
        ],
        when: "the project is installed, tested or checked: a build system, tasks or plugins",
    },
    Manifest {
        name: "Cargo.toml",
        form: Form::Toml,
        runs: &["/package/build", "/lib/proc-macro", "/lib/proc_macro"],
        when: "cargo is used here, or an editor opens it: a build script or a macro",
    },
];

/// Ends the sentence "runs on your machine when …", if this is a manifest and other things of it are run than before.
/// One that cannot be read counts as different.
pub fn runs_otherwise(path: &[u8], before: Option<&[u8]>, after: &[u8]) -> Option<&'static str> {
    let manifest = of(path)?;
    let differs = match (before.map(|before| manifest.parts(before)), manifest.parts(after)) {
        (_, None) => true,
        (None, Some(after)) => after.iter().any(Option::is_some),
        (Some(before), after) => before != after,
    };
    differs.then_some(manifest.when)
}

/// The same for one that is too large to be looked into.
pub fn may_run(path: &[u8]) -> Option<&'static str> {
    of(path).map(|manifest| manifest.when)
}

fn of(path: &[u8]) -> Option<&'static Manifest> {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    if later::is_installed(path) {
        return None;
    }
    TABLE.iter().find(|manifest| name.eq_ignore_ascii_case(manifest.name.as_bytes()))
}

impl Manifest {
    /// What is at each pointer.
    fn parts(&self, bytes: &[u8]) -> Option<Vec<Option<Json>>> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let whole = match self.form {
            Form::Json => serde_json::from_slice(bytes).ok()?,
            Form::Toml => {
                let document = Document::parse(std::str::from_utf8(bytes).ok()?).ok()?;
                table(document.as_table().iter())
            }
        };
        Some(self.runs.iter().map(|pointer| whole.pointer(pointer).cloned()).collect())
    }
}

/// The values, in the form that can be compared.
fn table<'a>(entries: impl Iterator<Item = (&'a str, &'a Item)>) -> Json {
    Json::Object(entries.map(|(key, item)| (key.to_owned(), item_of(item))).collect())
}

fn item_of(item: &Item) -> Json {
    match item {
        Item::None => Json::Null,
        Item::Value(value) => value_of(value),
        Item::Table(inner) => table(inner.iter()),
        Item::ArrayOfTables(tables) => Json::Array(tables.iter().map(|inner| table(inner.iter())).collect()),
    }
}

fn value_of(value: &Toml) -> Json {
    match value {
        Toml::String(text) => Json::String(text.value().clone()),
        Toml::Integer(number) => Json::from(*number.value()),
        Toml::Float(number) => Json::from(*number.value()),
        Toml::Boolean(truth) => Json::Bool(*truth.value()),
        Toml::Datetime(time) => Json::String(time.value().to_string()),
        Toml::Array(array) => Json::Array(array.iter().map(value_of).collect()),
        Toml::InlineTable(inner) => {
            let entries = inner.iter().map(|(key, value)| (key.to_owned(), value_of(value)));
            Json::Object(entries.collect::<Map<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::runs_otherwise;

    #[track_caller]
    fn assert_cases(path: &str, cases: &[(Option<&str>, &str, bool)]) {
        for (before, after, expected) in cases {
            let found = runs_otherwise(path.as_bytes(), before.map(str::as_bytes), after.as_bytes());
            assert_eq!(found.is_some(), *expected, "{path}: {before:?} -> {after}");
        }
    }

    #[test]
    fn of_a_package_json_only_what_runs_counts() {
        let scripts = r#"{"name":"a","scripts":{"test":"x"}}"#;
        let cases = [
            (Some(scripts), r#"{"name":"b","scripts":{"test":"x"},"dependencies":{"c":"1"}}"#, false),
            (Some(scripts), r#"{"name":"a","scripts":{"test":"y"}}"#, true),
            (Some(scripts), r#"{"name":"a"}"#, true),
            (None, r#"{"name":"a"}"#, false),
            (None, scripts, true),
            (Some(scripts), "{", true),
            (Some("{"), scripts, true),
            (None, r#"{"jest":{"globalSetup":"./x.js"}}"#, true),
        ];
        assert_cases("web/package.json", &cases);
        assert_cases("web/package.jsonl", &[(None, scripts, false)]);
        assert_cases("node_modules/a/package.json", &[(None, scripts, false)]);
        assert_cases("composer.json", &[(None, scripts, true), (None, r#"{"require":{}}"#, false)]);
        assert_cases("deno.json", &[(None, r#"{"tasks":{"a":"b"}}"#, true), (None, scripts, false)]);
    }

    #[test]
    fn of_toml_too() {
        let project = "[project]\nname = 'a'\ndependencies = ['b']\n[tool.black]\nline-length = 80\n";
        let built = format!("{project}[build-system]\nrequires = ['c']\nbuild-backend = 'c'\n");
        let by_own = built.replace("requires", "backend-path = ['.']\nrequires");
        let cases = [
            (None, project, false),
            (None, built.as_str(), true),
            (Some(project), &built.replace("80", "100"), true),
            (Some(built.as_str()), &built.replace("80", "100").replace("'b'", "'b', 'd'"), false),
            (Some(built.as_str()), by_own.as_str(), true),
            (Some(project), "[tool.pytest.ini_options]\naddopts = '-p mine'\n", true),
            (Some(project), "[project\n", true),
        ];
        assert_cases("pyproject.toml", &cases);
        let package = "[package]\nname = 'a'\n[dependencies]\nb = '1'\n";
        let cases = [
            (None, package, false),
            (Some(package), &package.replace("'1'", "{ version = '2', features = ['x'] }"), false),
            (Some(package), &package.replace("name", "build = 'tools/gen.rs'\nname"), true),
            (Some(package), &format!("{package}[lib]\nproc-macro = true\n"), true),
            (None, "package.build = 'x'", true),
        ];
        assert_cases("crates/a/Cargo.toml", &cases);
    }
}
