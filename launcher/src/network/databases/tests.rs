use super::*;

use shieldrun_egress::broker::Protection;
use shieldrun_secrets::{RunKey, substitute_env};

/// Some secret, known by this word.
fn secret() -> SecretId {
    let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    registry.entries()[0].id
}

fn found_by(with: impl Fn(Look<'_>, &mut Read<'_>)) -> Vec<String> {
    by(&Vouching::default(), with)
}

fn by(vouching: &Vouching<'_>, with: impl Fn(Look<'_>, &mut Read<'_>)) -> Vec<String> {
    let id = secret();
    let mut read = Read { databases: Vec::new(), ways: Vec::new(), vouching };
    with(&|shown| (shown == b"shown").then_some(id), &mut read);
    let told = |known: Database| {
        let any = |text: Option<String>| text.unwrap_or_else(|| "*".to_owned());
        let hosts = format!("{:?}", known.hosts);
        let port = any(known.port.map(|port| port.to_string()));
        let host = hosts.split('"').nth(1).unwrap_or_default();
        format!("{host}:{port}:{}:{} {:?}", any(known.database), any(known.user), known.protection)
    };
    read.databases.into_iter().map(told).collect()
}

#[test]
fn a_url_says_host_port_user_and_how_it_is_reached() {
    let of = |text: &str| found_by(|known, read| read.urls(text, known));
    for (text, expected) in [
        ("postgres://app:shown@db.example/shop", "db.example:5432:shop:app Preferred"),
        ("x='postgresql+psycopg://a%40b:shown@DB.example:6000'", "db.example:6000:*:a@b Preferred"),
        ("postgresql://app:shown@[2001:db8::1]:6000/?sslmode=require", "2001:db8::1:6000:*:app Required"),
        ("jdbc:postgresql://db/shop?user=app&password=shown&sslmode=disable", "db:5432:shop:app Off"),
        ("postgres://app:shown@db/?sslmode=verify-full&a=b", "db:5432:*:app Verified"),
    ] {
        assert_eq!(of(text), [expected], "{text}");
    }
    assert_eq!(of("postgres://app:shown@a:1,b/x").len(), 2);
    for other in [
        "postgres://app:another@db/shop",
        "mysql://app:shown@db/shop",
        "postgres://:shown@db/shop",
        "postgres://app:shown@db:port/shop",
        "postgres://app:shown@%2Frun%2Fpostgresql/shop",
        "://app:shown@db",
    ] {
        assert!(of(other).is_empty(), "{other}");
    }
}

#[test]
fn the_password_file_has_no_password_for_every_host() {
    let text =
        "# hosts\ndb.example:*:shop:a\\:b:shown\n*:5432:*:app:shown\ndb:6000:*:*:shown\ndb:1:x:y:z\nodd\n";
    let vouching = Vouching { mode: Some("require".to_owned()), ..Vouching::default() };
    let all = by(&vouching, |known, read| read.lines(text, known));
    assert_eq!(all, ["db.example:*:shop:a:b Required", "db:6000:*:* Required"]);
}

#[test]
fn the_variables_belong_together() {
    let text = "PGHOST=a.example,/run,b.example\nexport PGPASSWORD=\"shown\"\nPGPORT=6000\nPGUSER=app\n";
    let all = found_by(|known, read| read.settings(&|name| assigned(text, name), known));
    assert_eq!(all, ["a.example:6000:*:app Preferred", "b.example:6000:*:app Preferred"]);
    let alone = "PGPASSWORD=shown\nPGUSER=app\n";
    assert!(found_by(|known, read| read.settings(&|name| assigned(alone, name), known)).is_empty());
}

#[test]
fn a_service_says_it_and_how_a_server_is_reached_whose_password_stands_elsewhere() {
    let text = "# mine\n[shop]\nhost = a.example,b.example\nport=6000\nuser=app\npassword=shown\ndbname=shop\n\
        password=another\n[other]\nhost=c.example\nsslmode=verify-full\n\n[odd\nsslmode\n";
    let all = found_by(|known, read| {
        services::of(text).iter().for_each(|service| read.service(service, known));
        read.urls("postgres://app@d.example:6000/shop?sslmode=require", known);
        let lines = "c.example:*:shop:app:shown\nd.example:6000:*:app:shown\nd.example:6001:*:app:shown\n";
        read.lines(lines, known);
    });
    let expected = [
        "a.example:6000:shop:app Preferred",
        "b.example:6000:shop:app Preferred",
        "c.example:*:shop:app Verified",
        "d.example:6000:*:app Required",
        "d.example:6001:*:app Preferred",
    ];
    assert_eq!(all, expected);
}

#[test]
fn a_file_of_authorities_is_asked_where_there_is_one() {
    let at = tempfile::tempdir().expect("a directory");
    let own = at.path().join(".postgresql");
    fs::create_dir(&own).expect("a directory");
    let vouching = || Vouching { home: Some(at.path()), ..Vouching::default() };
    assert_eq!(vouching().of(Some("require"), None), (Protection::Required, None));
    let certificate = "-----BEGIN CERTIFICATE-----\nown\n-----END CERTIFICATE-----\n";
    fs::write(own.join("root.crt"), format!("text\n{certificate}")).expect("a file");
    let pem = || Some(certificate.as_bytes().to_vec());
    let vouching = vouching();
    assert_eq!(vouching.of(Some("require"), None), (Protection::VouchedFor, pem()));
    assert_eq!(vouching.of(Some("verify-full"), None), (Protection::Verified, pem()));
    assert_eq!(vouching.of(Some("verify-full"), Some("/nowhere")), (Protection::Verified, None));
    assert_eq!(vouching.of(None, Some("system")), (Protection::Verified, None));
    assert_eq!(vouching.files(), [own.join("root.crt")]);
}
