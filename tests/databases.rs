//! PostgreSQL with only the synthetic password inside: Debian's server on loopback, `psql` and `psycopg` as clients.
//!
//! The server checks the real password, so a session that comes about is the proof that it was sent; nothing inside
//! has seen it.

use crate::harness::database::Database;
use crate::harness::{Ran, World, made_up, put, python_with_clients, text};

use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const HOST: &str = "db.example.com";
const WHO: &str = "select current_user || ' in ' || current_database()";

/// A world with a server in it.
struct Place {
    world: World,
    database: Database,
    directory: PathBuf,
}

/// An authority, and a certificate of its for the host.
fn certificate(directory: &Path) -> (PathBuf, PathBuf) {
    let openssl = |words: &[&str]| {
        let status =
            Command::new("openssl").args(words).current_dir(directory).stderr(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "openssl {words:?}");
    };
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl(
        &[&["req", "-x509"], &curve[..], &["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=suite"]]
            .concat(),
    );
    openssl(&[&["req"], &curve[..], &["-keyout", "key", "-out", "request", "-subj", "/CN=suite"]].concat());
    fs::write(directory.join("names"), format!("subjectAltName=DNS:{HOST}")).expect("write the names");
    let sign = ["x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    openssl(&[&sign[..], &["-out", "cert", "-days", "2", "-extfile", "names"]].concat());
    (directory.join("cert"), directory.join("key"))
}

enum Tls {
    On,
    Off,
}

impl Place {
    /// The password of `app` is that of `DATABASE_URL`, of the others the one in a variable of their own name.
    fn new(tls: Tls) -> Self {
        let mut world = World::new();
        let directory = world.beside("pg");
        let pair = certificate(&directory);
        let mut users = vec![("app", "scram-sha-256", world.real("DATABASE_URL").to_owned())];
        for (name, method, variable) in [("plain", "password", "PLAIN_URL"), ("hashed", "md5", "HASHED_URL")]
        {
            let password = world.plant(variable, made_up::word(24));
            world.set(variable, format!("postgres://{name}:{password}@{HOST}/shop?sslmode=prefer"));
            users.push((name, method, password));
        }
        // Nobody's here: the guest is told it in plain.
        users.push(("other", "scram-sha-256", "no-secret".to_owned()));
        users.push(("open", "trust", "no-secret".to_owned()));
        let told: Vec<_> = users.iter().map(|(name, method, word)| (*name, *method, word.as_str())).collect();
        let pair = matches!(tls, Tls::On).then_some((pair.0.as_path(), pair.1.as_path()));
        let database = Database::start(pair, &told);
        if pair.is_none() {
            let real = world.real("DATABASE_URL").to_owned();
            world.set("DATABASE_URL", format!("postgresql://app:{real}@{HOST}:5432/shop?sslmode=disable"));
        }
        Self { world, database, directory }
    }

    fn bash(&self, script: &str) -> Ran {
        let at = |host: &str| format!("{host}:5432=127.0.0.1:{}", self.database.port);
        let config = json!({
            "network": {
                "mode": "allowlist",
                "allow": [format!("{HOST}:5432"), "other.example.com:5432"],
                "resolve": [at(HOST), at("other.example.com")],
            },
            "secrets": {"mode": "broker"},
        });
        let shield = self.world.bash(script).with(["--config".to_owned(), config.to_string()]);
        shield.set("SSL_CERT_FILE", self.directory.join("ca.pem")).run()
    }
}

#[test]
fn every_way_of_asking_for_a_password_works_with_the_synthetic_one() {
    for tls in [Tls::On, Tls::Off] {
        let place = Place::new(tls);
        let script = format!(
            "for url in \"$DATABASE_URL\" \"$PLAIN_URL\" \"$HASHED_URL\"; do psql -AtXc \"{WHO}\" \"$url\" || echo no; done"
        );
        let ran = place.bash(&script).expect_clean();
        assert_eq!(
            ran.text(),
            "app in shop\nplain in shop\nhashed in shop\n",
            "{ran}\n{}",
            place.database.log()
        );
        ran.assert_nothing_real();
        let swapped = ran.record.of("secret-swapped");
        assert_eq!(swapped.len(), 3, "{ran}");
        assert_eq!(text(swapped[0], "/destination/address"), "db.example.com:5432", "{ran}");
        assert_eq!(text(swapped[0], "/shieldrun/secret/name"), "DATABASE_URL", "{ran}");
        assert_eq!(ran.record.of("connection-allowed").len(), 3, "{ran}");
    }
}

#[test]
fn both_legs_are_under_tls_where_both_ends_have_it() {
    let place = Place::new(Tls::On);
    // What the server saw, and what the client saw: a certificate of the run's authority, for the host.
    let script = "psql -AtXc 'select ssl, version from pg_stat_ssl where pid = pg_backend_pid()' \"$DATABASE_URL\"; \
        export PGSSLROOTCERT=$SSL_CERT_FILE; psql -AtXc 'select 1' \"${DATABASE_URL/require/verify-full}\"; \
        PGSSLROOTCERT=/dev/null psql -AtXc 'select 2' \"${DATABASE_URL/require/verify-full}\" || true";
    let ran = place.bash(script).expect_clean();
    assert_eq!(ran.text(), "t|TLSv1.3\n1\n", "{ran}");
}

#[test]
fn psycopg_works_and_a_transaction_with_it() {
    let Some(python) = python_with_clients() else { return };
    let place = Place::new(Tls::On);
    let program = "import os, psycopg\n\
        with psycopg.connect(os.environ['DATABASE_URL']) as c:\n\
        \x20   c.execute('create temp table t (line text)')\n\
        \x20   with c.cursor().copy('copy t from stdin') as copy:\n\
        \x20       for number in range(20000): copy.write_row((f'line {number}',))\n\
        \x20   print(c.execute('select count(*) from t').fetchone()[0])";
    let python = python.to_string_lossy().into_owned();
    let ran = place.bash(&format!("{python} -c \"{program}\"")).expect_clean();
    assert_eq!(ran.text(), "20000\n", "{ran}");
}

#[test]
fn a_wrong_password_is_refused_in_the_servers_words_and_never_gets_there() {
    let place = Place::new(Tls::On);
    for (url, user) in [("DATABASE_URL", "app"), ("PLAIN_URL", "plain"), ("HASHED_URL", "hashed")] {
        let script = format!(
            "psql -AtXc '{}' \"$(echo \"${url}\" | sed 's#:[^:@/]*@#:wrong@#')\" 2>&1; psql -AtXc 'select 1' \"${url}\"",
            "select 2"
        );
        let ran = place.bash(&script).expect_clean();
        let said = format!("password authentication failed for user \"{user}\"");
        assert!(ran.text().contains(&said) && ran.text().ends_with("\n1\n"), "{ran}");
        let denied = ran.record.of("connection-denied");
        assert!(!denied.is_empty(), "{ran}");
        assert!(text(denied[0], "/message").contains("not the one that was given out"), "{ran}");
    }
    assert!(!place.database.log().contains("authentication failed"), "{}", place.database.log());
}

#[test]
fn another_user_or_another_host_gets_no_real_password() {
    let place = Place::new(Tls::Off);
    let as_other = "psql -AtXc 'select 1' \"postgres://other:no-secret@db.example.com/shop\" 2>&1; \
        psql -AtXc 'select 1' \"$DATABASE_URL\"";
    let ran = place.bash(as_other).expect_clean();
    assert!(ran.text().contains("no password is known for user \"other\""), "{ran}");
    assert!(ran.text().ends_with("\n1\n"), "{ran}");
    assert_eq!(ran.record.of("secret-swapped").len(), 1, "{ran}");
    // Where no password belongs, nobody looks into the login: the synthetic is of no use to the server.
    let elsewhere = "psql -AtXc 'select 1' \"${DATABASE_URL/db.example/other.example}\" 2>&1; \
        psql -AtXc 'select 2' \"postgres://other:no-secret@other.example.com/shop\"";
    let ran = place.bash(elsewhere).expect_clean();
    assert!(ran.text().contains("password authentication failed for user \"app\""), "{ran}");
    assert!(ran.text().ends_with("\n2\n"), "{ran}");
    assert!(ran.record.of("secret-swapped").is_empty(), "{ran}");
}

#[test]
fn channel_binding_cannot_be_had_and_is_refused() {
    let place = Place::new(Tls::On);
    let script = "psql -AtXc 'select 1' \"$DATABASE_URL&channel_binding=require\" 2>&1; \
        psql -AtXc 'select 2' \"$DATABASE_URL&channel_binding=prefer\"";
    let ran = place.bash(script).expect_clean();
    assert!(ran.text().contains("channel binding") && ran.text().ends_with("\n2\n"), "{ran}");
}

#[test]
fn a_real_value_in_what_is_copied_ends_the_run_even_under_tls() {
    let place = Place::new(Tls::On);
    place.database.ask("create table public.kept (line text)");
    place.database.ask("grant all on public.kept to public");
    let script = |line: &str| {
        format!(
            "psql -qAtX \"${{DATABASE_URL/shop/postgres}}\" -c 'copy public.kept from stdin' <<< {line}; sleep 2; echo on"
        )
    };
    let ran = place.bash(&script("harmless")).expect_clean();
    assert_eq!(ran.text(), "on\n", "{ran}");
    assert_eq!(place.database.ask("select line from public.kept"), "harmless");
    // As an agent might that got hold of one: by two halves, which no scan of the command line sees.
    let real = place.world.real("GITHUB_TOKEN").to_owned();
    let (first, second) = real.split_at(12);
    let ran = place.bash(&format!("a={first}; {}", script(&format!("\"${{a}}{second}\"")))).expect_code(120);
    assert!(!ran.text().contains("on\n"), "{ran}");
    assert_eq!(ran.record.of("leak-stopped").len(), 1, "{ran}");
    assert_eq!(place.database.ask("select line from public.kept"), "harmless");
}

#[test]
fn the_password_file_and_the_variables_say_it_too() {
    let mut place = Place::new(Tls::Off);
    let password = place.world.real("DATABASE_URL").to_owned();
    // The URL is gone: only the file knows, then only the variables.
    place.world.environment.retain(|(name, _)| name != "DATABASE_URL");
    let file = place.world.home.join(".pgpass");
    fs::write(&file, format!("{HOST}:*:*:app:{password}\n")).expect("write the file");
    let ran = place.bash(&format!("psql -AtXc \"{WHO}\" -h {HOST} -U app shop")).expect_clean();
    assert_eq!(ran.text(), "app in shop\n", "{ran}");
    ran.assert_nothing_real();
    // A file that has it for every host has it for none.
    fs::write(&file, format!("*:*:*:app:{password}\n")).expect("write the file");
    let ran = place.bash(&format!("psql -AtXc \"{WHO}\" -h {HOST} -U app shop 2>&1")).expect_code(2);
    assert!(ran.text().contains("no password is known for user \"app\""), "{ran}");
    fs::remove_file(&file).expect("remove the file");
    for (name, value) in
        [("PGPASSWORD", password.as_str()), ("PGHOST", HOST), ("PGUSER", "app"), ("PGDATABASE", "shop")]
    {
        place.world.set(name, value);
    }
    let ran = place.bash(&format!("psql -AtXc \"{WHO}\"")).expect_clean();
    assert_eq!(ran.text(), "app in shop\n", "{ran}");
}

#[test]
fn a_server_that_has_to_be_verified_is() {
    let mut place = Place::new(Tls::On);
    let real = place.world.real("DATABASE_URL").to_owned();
    place.world.set("DATABASE_URL", format!("postgresql://app:{real}@{HOST}/shop?sslmode=verify-full"));
    let script = "PGSSLROOTCERT=$SSL_CERT_FILE psql -AtXc 'select 1' \"$DATABASE_URL\" 2>&1";
    assert_eq!(place.bash(script).expect_clean().text(), "1\n");
    // Another authority vouches for nobody here.
    let other = place.world.beside("other");
    certificate(&other);
    place.directory = other;
    let ran = place.bash(script).expect_code(2);
    assert!(ran.text().contains("no TLS with the server can be made"), "{ran}");
    assert!(ran.record.of("secret-swapped").is_empty(), "{ran}");
}

/// Of a server with TLS, whose authority nobody but the person knows: the host trusts another.
fn private() -> (Place, PathBuf) {
    let mut place = Place::new(Tls::On);
    let authority = place.directory.join("ca.pem");
    let other = place.world.beside("other");
    certificate(&other);
    place.directory = other;
    (place, authority)
}

#[test]
fn an_authority_of_the_persons_own_vouches_for_the_server() {
    let (mut place, authority) = private();
    let real = place.world.real("DATABASE_URL").to_owned();
    let home = place.world.home.clone();
    let url = |host: &str, rest: &str| format!("postgresql://app:{real}@{host}/shop?{rest}");
    let script = "psql -AtXc 'select 1' \"$DATABASE_URL\" 2>&1";
    let stranger = fs::read(place.directory.join("ca.pem")).expect("read");
    let mut said = |url: String| {
        place.world.set("DATABASE_URL", url);
        let ran = place.bash(script);
        ran.assert_nothing_real();
        ran.text()
    };
    // Nobody's file yet.
    assert!(said(url(HOST, "sslmode=verify-full")).contains("root certificate file"));
    // Named by the connection; in the home, where nothing else of that directory is seen.
    let own = put(&home.join("certificates/own.pem"), &fs::read(&authority).expect("read"), 0o600);
    let named = format!("sslrootcert={}", own.display());
    assert_eq!(said(url(HOST, &format!("sslmode=verify-full&{named}"))), "1\n");
    assert_eq!(said(url(HOST, &format!("sslmode=verify-ca&{named}"))), "1\n");
    // Where libpq looks by itself.
    put(&home.join(".postgresql/root.crt"), &fs::read(&authority).expect("read"), 0o600);
    assert_eq!(said(url(HOST, "sslmode=verify-full")), "1\n");
    assert_eq!(said(url(HOST, "sslmode=require")), "1\n");
    // Under a name that the certificate is not made out for.
    let other = "other.example.com";
    assert_eq!(said(url(other, "sslmode=verify-ca")), "1\n");
    let refused = said(url(other, "sslmode=verify-full"));
    assert!(refused.contains("no TLS with the server can be made: invalid peer certificate"), "{refused}");
    assert!(refused.contains("not valid for name"), "{refused}");
    // An authority that did not make it.
    put(&home.join(".postgresql/root.crt"), &stranger, 0o600);
    for mode in ["verify-full", "verify-ca", "require"] {
        let refused = said(url(HOST, &format!("sslmode={mode}")));
        assert!(
            refused.contains("no TLS with the server can be made: invalid peer certificate"),
            "{refused}"
        );
    }
}

#[test]
fn a_server_that_vouches_for_itself_is_taken_where_its_certificate_is_known() {
    let mut place = Place::new(Tls::Off);
    let directory = place.world.beside("self");
    let status = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=db.example.com"])
        .args(["-addext", "subjectAltName=DNS:db.example.com", "-keyout", "key", "-out", "cert"])
        .current_dir(&directory)
        .stderr(Stdio::null())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "openssl");
    let real = place.world.real("DATABASE_URL").to_owned();
    let pair = (directory.join("cert"), directory.join("key"));
    place.database = Database::start(Some((&pair.0, &pair.1)), &[("app", "scram-sha-256", &real)]);
    let root = place.world.home.join(".postgresql/root.crt");
    put(&root, &fs::read(&pair.0).expect("read"), 0o600);
    let script = "psql -AtXc 'select 1' \"$DATABASE_URL\" 2>&1";
    place.world.set("DATABASE_URL", format!("postgresql://app:{real}@{HOST}/shop?sslmode=verify-full"));
    assert_eq!(place.bash(script).expect_clean().text(), "1\n");
    place
        .world
        .set("DATABASE_URL", format!("postgresql://app:{real}@other.example.com/shop?sslmode=verify-full"));
    let ran = place.bash(script).expect_code(2);
    assert!(ran.text().contains("not valid for name"), "{ran}");
}

#[test]
fn a_service_says_where_a_password_belongs() {
    let (mut place, authority) = private();
    place.world.environment.retain(|(name, _)| name != "DATABASE_URL");
    let real = place.world.real("DATABASE_URL").to_owned();
    let home = place.world.home.clone();
    let own = put(&home.join("certificates/own.pem"), &fs::read(&authority).expect("read"), 0o600);
    let service = format!(
        "[shop]\nhost={HOST}\nuser=app\ndbname=shop\nsslmode=verify-full\nsslrootcert={}\n",
        own.display()
    );
    let script = format!("psql -AtXc \"{WHO}\" service=shop 2>&1");
    // The password in the file itself, then in that of the passwords.
    let file = home.join(".pg_service.conf");
    put(&file, format!("{service}password={real}\n").as_bytes(), 0o600);
    let ran = place.bash(&script).expect_clean();
    assert_eq!(ran.text(), "app in shop\n", "{ran}\n{}", place.database.log());
    ran.assert_nothing_real();
    assert_eq!(ran.record.of("secret-swapped").len(), 1, "{ran}");
    put(&file, service.as_bytes(), 0o600);
    put(&home.join(".pgpass"), format!("{HOST}:*:*:app:{real}\n").as_bytes(), 0o600);
    let ran = place.bash(&script).expect_clean();
    assert_eq!(ran.text(), "app in shop\n", "{ran}\n{}", place.database.log());
    ran.assert_nothing_real();
    // A file that a variable names.
    fs::remove_file(&file).expect("remove the file");
    let named =
        put(&place.world.project.join("services"), format!("{service}password={real}\n").as_bytes(), 0o600);
    place.world.set("PGSERVICEFILE", named);
    assert_eq!(place.bash(&script).expect_clean().text(), "app in shop\n");
}

#[test]
fn a_query_can_be_cancelled() {
    let place = Place::new(Tls::On);
    let script = "timeout -s INT 1 psql -AtXc 'select pg_sleep(60)' \"$DATABASE_URL\" 2>&1";
    let ran = place.bash(script).expect_code(124);
    assert!(
        ran.text().contains("canceling statement due to user request"),
        "{ran}\n{}",
        place.database.log()
    );
}
