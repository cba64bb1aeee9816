//! The formats, as data. Adding one is one entry here and its vector in the tests.
//!
//! Does not match or make anything: `mold` reads this table.

/// Characters a segment is drawn from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Set {
    Digit,
    /// 0-9 a-z
    LowerDigit,
    /// 0-9 A-Z
    UpperDigit,
    /// 0-9 A-Z a-z
    Alnum,
    /// Either case, the real one's case kept.
    Hex,
    /// A-Z 2-7
    Base32,
    /// Alnum and `+/`
    Base64,
    /// Alnum and `-_`
    Base64Url,
    /// Alnum and `-_.`
    Dotted,
    /// Alnum and `-_=+/.~`
    Loose,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// Stays.
    Lit(&'static str),
    /// One of these, stays.
    Any(&'static [&'static str]),
    /// Secret, drawn anew: from `min` to `max` characters.
    Body(Set, u16, u16),
    /// Names something, stays.
    Kept(Set, u16, u16),
    /// Computed from the rest.
    Sum(Set, u16),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Check {
    None,
    /// Base62 CRC32 of the last body, six characters.
    Crc32Base62,
    /// Base32 of SHA-256 over all before, eight characters.
    Sha256Base32,
    /// Big-endian hex CRC32 of the last body.
    Crc32Hex,
    /// Little-endian hex CRC32 of all before the separator.
    Crc32HexLittle,
    /// Upper-case hex CRC32 of all before.
    Crc32HexUpper,
    /// Base36 CRC32 of all before, seven characters.
    Crc32Base36,
}

pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) prefixes: &'static [&'static str],
    pub(crate) parts: &'static [Part],
    pub(crate) check: Check,
}

use Part::{Any, Body, Kept, Lit, Sum};

const fn plain(name: &'static str, prefixes: &'static [&'static str], parts: &'static [Part]) -> Kind {
    Kind { name, prefixes, parts, check: Check::None }
}

const fn summed(
    name: &'static str,
    prefixes: &'static [&'static str],
    parts: &'static [Part],
    check: Check,
) -> Kind {
    Kind { name, prefixes, parts, check }
}

pub(crate) static KINDS: &[Kind] = &[
    summed(
        "github-token",
        &["ghp_", "gho_", "ghu_", "ghs_"],
        &[Body(Set::Alnum, 30, 30), Sum(Set::Alnum, 6)],
        Check::Crc32Base62,
    ),
    summed(
        "github-refresh-token",
        &["ghr_"],
        &[Body(Set::Alnum, 70, 70), Sum(Set::Alnum, 6)],
        Check::Crc32Base62,
    ),
    summed(
        "github-fine-grained-token",
        &["github_pat_"],
        &[Body(Set::Alnum, 22, 22), Lit("_"), Body(Set::Alnum, 51, 51), Sum(Set::Base32, 8)],
        Check::Sha256Base32,
    ),
    summed("npm-token", &["npm_"], &[Body(Set::Alnum, 30, 30), Sum(Set::Alnum, 6)], Check::Crc32Base62),
    plain(
        "anthropic-api-key",
        &["sk-ant-"],
        &[
            Any(&["api03-", "admin01-", "oat01-", "ort01-", "sid01-"]),
            Body(Set::Base64Url, 80, 120),
            Lit("AA"),
        ],
    ),
    plain("anthropic-api-key", &["sk-ant-"], &[Body(Set::Base64Url, 24, 128)]),
    plain(
        "openai-api-key",
        &["sk-"],
        &[
            Any(&["proj-", "svcacct-", "admin-"]),
            Body(Set::Base64Url, 20, 90),
            Lit("T3BlbkFJ"),
            Body(Set::Base64Url, 20, 90),
        ],
    ),
    plain("openai-api-key", &["sk-"], &[Body(Set::Alnum, 20, 20), Lit("T3BlbkFJ"), Body(Set::Alnum, 20, 20)]),
    plain("openrouter-api-key", &["sk-or-v1-"], &[Body(Set::Hex, 64, 64)]),
    plain(
        "openai-api-key",
        &["sk-"],
        &[Any(&["proj-", "svcacct-", "admin-"]), Body(Set::Base64Url, 24, 200)],
    ),
    plain("aws-access-key-id", &["AKIA", "ASIA"], &[Body(Set::Base32, 16, 16)]),
    plain("aws-access-key-id", &["AKIA", "ASIA"], &[Body(Set::UpperDigit, 16, 16)]),
    plain("google-api-key", &["AIza"], &[Body(Set::Base64Url, 35, 35)]),
    plain("google-oauth-access-token", &["ya29."], &[Body(Set::Base64Url, 40, 1024)]),
    plain("google-oauth-client-secret", &["GOCSPX-"], &[Body(Set::Base64Url, 28, 28)]),
    plain(
        "slack-bot-token",
        &["xoxb-"],
        &[Kept(Set::Digit, 9, 14), Lit("-"), Kept(Set::Digit, 9, 14), Lit("-"), Body(Set::Alnum, 20, 40)],
    ),
    plain(
        "slack-user-token",
        &["xoxp-", "xoxa-", "xoxs-"],
        &[
            Kept(Set::Digit, 9, 14),
            Lit("-"),
            Kept(Set::Digit, 9, 14),
            Lit("-"),
            Kept(Set::Digit, 9, 14),
            Lit("-"),
            Body(Set::Alnum, 20, 64),
        ],
    ),
    plain(
        "slack-app-token",
        &["xapp-"],
        &[
            Kept(Set::Digit, 1, 2),
            Lit("-"),
            Kept(Set::UpperDigit, 8, 16),
            Lit("-"),
            Kept(Set::Digit, 9, 16),
            Lit("-"),
            Body(Set::LowerDigit, 32, 80),
        ],
    ),
    plain(
        "slack-token",
        &["xoxe.xoxp-", "xoxe.xoxb-", "xoxe-", "xoxc-", "xoxd-", "xoxr-", "xoxb-", "xoxp-"],
        &[Body(Set::Dotted, 16, 256)],
    ),
    plain(
        "slack-webhook-url",
        &["https://hooks.slack.com/"],
        &[
            Any(&["services/", "workflows/", "triggers/"]),
            Kept(Set::UpperDigit, 8, 14),
            Lit("/"),
            Kept(Set::Alnum, 8, 24),
            Lit("/"),
            Body(Set::Alnum, 18, 48),
        ],
    ),
    plain("stripe-secret-key", &["sk_live_", "sk_test_"], &[Body(Set::Alnum, 16, 200)]),
    plain("stripe-restricted-key", &["rk_live_", "rk_test_"], &[Body(Set::Alnum, 16, 200)]),
    plain("webhook-signing-secret", &["whsec_"], &[Body(Set::Base64, 24, 80)]),
    summed(
        "gitlab-token",
        &["glpat-"],
        &[Body(Set::Base64Url, 27, 300), Lit(".01."), Kept(Set::LowerDigit, 2, 2), Sum(Set::LowerDigit, 7)],
        Check::Crc32Base36,
    ),
    plain(
        "gitlab-token",
        &["glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-", "glimt-", "glagent-"],
        &[Body(Set::Base64Url, 20, 64)],
    ),
    plain("huggingface-token", &["hf_", "api_org_"], &[Body(Set::Alnum, 30, 40)]),
    plain(
        "pypi-token",
        &["pypi-AgEIcHlwaS5vcmc", "pypi-AgENdGVzdC5weXBpLm9yZw"],
        &[Body(Set::Base64Url, 50, 400)],
    ),
    plain(
        "sendgrid-api-key",
        &["SG."],
        &[Body(Set::Base64Url, 22, 22), Lit("."), Body(Set::Base64Url, 43, 43)],
    ),
    plain("digitalocean-token", &["dop_v1_", "doo_v1_", "dor_v1_"], &[Body(Set::Hex, 64, 64)]),
    plain("databricks-token", &["dapi"], &[Body(Set::Hex, 32, 32)]),
    plain("vault-token", &["hvs.", "hvb.", "hvr."], &[Body(Set::Base64Url, 20, 300)]),
    plain("shopify-access-token", &["shpat_", "shpca_", "shppa_", "shpss_"], &[Body(Set::Hex, 32, 32)]),
    plain("linear-api-key", &["lin_api_", "lin_oauth_"], &[Body(Set::Alnum, 40, 64)]),
    plain("notion-token", &["ntn_"], &[Kept(Set::Digit, 11, 11), Body(Set::Alnum, 35, 35)]),
    plain("supabase-key", &["sb_secret_"], &[Body(Set::Base64Url, 20, 64)]),
    plain("supabase-access-token", &["sbp_"], &[Body(Set::Hex, 40, 40)]),
    plain("sentry-token", &["sntryu_"], &[Body(Set::Hex, 64, 64)]),
    plain("sentry-org-token", &["sntrys_"], &[Body(Set::Loose, 60, 400)]),
    plain("replicate-token", &["r8_"], &[Body(Set::Alnum, 37, 37)]),
    plain("groq-api-key", &["gsk_"], &[Body(Set::Alnum, 48, 60)]),
    plain("xai-api-key", &["xai-"], &[Body(Set::Alnum, 60, 100)]),
    plain("perplexity-api-key", &["pplx-"], &[Body(Set::Alnum, 40, 64)]),
    plain("tavily-api-key", &["tvly-"], &[Body(Set::Base64Url, 20, 64)]),
    plain("docker-access-token", &["dckr_pat_", "dckr_oat_"], &[Body(Set::Base64Url, 20, 64)]),
    plain("crates-io-token", &["cio"], &[Body(Set::Alnum, 32, 32)]),
    plain("age-secret-key", &["AGE-SECRET-KEY-1"], &[Body(Set::UpperDigit, 58, 58)]),
    plain("twilio-api-key-sid", &["SK"], &[Body(Set::Hex, 32, 32)]),
    summed(
        "atlassian-api-token",
        &["ATATT3", "ATCTT3"],
        &[Body(Set::Base64Url, 60, 300), Lit("="), Sum(Set::UpperDigit, 8)],
        Check::Crc32HexUpper,
    ),
    plain("postman-api-key", &["PMAK-"], &[Body(Set::Hex, 24, 24), Lit("-"), Body(Set::Hex, 34, 34)]),
    plain(
        "doppler-token",
        &["dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit."],
        &[Body(Set::Dotted, 40, 80)],
    ),
    plain("planetscale-token", &["pscale_tkn_", "pscale_pw_", "pscale_oauth_"], &[Body(Set::Dotted, 32, 64)]),
    plain("new-relic-key", &["NRAK-", "NRRA-", "NRIQ-"], &[Body(Set::UpperDigit, 27, 42)]),
    summed(
        "grafana-service-account-token",
        &["glsa_"],
        &[Body(Set::Alnum, 32, 32), Lit("_"), Sum(Set::Hex, 8)],
        Check::Crc32HexLittle,
    ),
    summed(
        "vercel-token",
        &["vcp_", "vci_", "vca_", "vcr_", "vck_"],
        &[Body(Set::Alnum, 50, 50), Sum(Set::Alnum, 6)],
        Check::Crc32Base62,
    ),
    summed(
        "cloudflare-token",
        &["cfk_", "cfut_", "cfat_"],
        &[Body(Set::Alnum, 40, 40), Sum(Set::Hex, 8)],
        Check::Crc32Hex,
    ),
    plain("fly-token", &["FlyV1 "], &[Body(Set::Loose, 50, 2000)]),
    plain("telegram-bot-token", &["bot"], &[Kept(Set::Digit, 8, 10), Lit(":"), Body(Set::Base64Url, 35, 35)]),
];

/// For each first byte of a prefix, the kinds to try, as one linked list made by the compiler.
pub(crate) struct Index {
    head: [u16; 256],
    next: [u16; SLOTS],
    slot: [(u16, u16); SLOTS],
}

const SLOTS: usize = {
    let (mut total, mut kind) = (0, 0);
    while kind < KINDS_LEN {
        total += kinds()[kind].prefixes.len();
        kind += 1;
    }
    total
};
const KINDS_LEN: usize = kinds().len();
const NONE: u16 = u16::MAX;

const fn kinds() -> &'static [Kind] {
    KINDS
}

pub(crate) static INDEX: Index = {
    let mut index = Index { head: [NONE; 256], next: [NONE; SLOTS], slot: [(0, 0); SLOTS] };
    let mut used = 0;
    // Backwards, so that the lists run in the table's order.
    let mut kind = KINDS_LEN;
    while kind > 0 {
        kind -= 1;
        let mut prefix = kinds()[kind].prefixes.len();
        while prefix > 0 {
            prefix -= 1;
            let first = kinds()[kind].prefixes[prefix].as_bytes()[0] as usize;
            index.slot[used] = (kind as u16, prefix as u16);
            index.next[used] = index.head[first];
            index.head[first] = used as u16;
            used += 1;
        }
    }
    index
};

impl Index {
    /// The kinds, with the prefix, that start with this byte, in the table's order.
    pub(crate) fn starting_with(
        &'static self,
        first: u8,
    ) -> impl Iterator<Item = (&'static Kind, &'static str)> {
        let mut at = self.head[usize::from(first)];
        core::iter::from_fn(move || {
            if at == NONE {
                return None;
            }
            let (kind, prefix) = self.slot[usize::from(at)];
            at = self.next[usize::from(at)];
            let kind = &KINDS[usize::from(kind)];
            Some((kind, kind.prefixes[usize::from(prefix)]))
        })
    }
}

impl Set {
    pub(crate) const fn alphabet(self) -> &'static [u8] {
        match self {
            Set::Digit => b"0123456789",
            Set::LowerDigit => b"0123456789abcdefghijklmnopqrstuvwxyz",
            Set::UpperDigit => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            Set::Alnum => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            Set::Hex => b"0123456789abcdef",
            Set::Base32 => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
            Set::Base64 => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            Set::Base64Url => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
            Set::Dotted => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_.",
            Set::Loose => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_=+/.~",
        }
    }

    pub(crate) fn has(self, byte: u8) -> bool {
        match self {
            Set::Digit => byte.is_ascii_digit(),
            Set::LowerDigit => byte.is_ascii_lowercase() || byte.is_ascii_digit(),
            Set::UpperDigit => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Set::Alnum => byte.is_ascii_alphanumeric(),
            Set::Hex => byte.is_ascii_hexdigit(),
            Set::Base32 => byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte),
            Set::Base64 => byte.is_ascii_alphanumeric() || b"+/=".contains(&byte),
            Set::Base64Url => byte.is_ascii_alphanumeric() || b"-_".contains(&byte),
            Set::Dotted => byte.is_ascii_alphanumeric() || b"-_.".contains(&byte),
            Set::Loose => byte.is_ascii_alphanumeric() || b"-_=+/.~".contains(&byte),
        }
    }
}
