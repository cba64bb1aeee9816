//! The table. One line a format; where two lines have a name, the stricter comes first.
//!
//! `weak` marks forms too plain to be believed without a name or a checksum that speaks for them.

use super::Part::{Any, Body, Kept, Lit, Sum};
use super::Set::{
    Alnum, Base32, Base64, Base64Raw, Base64Url, Bech32, Digit, Dotted, Hex, HexDash, HexLower, HexUpper,
    Loose, LowerDash, LowerDigit, UpperDigit, Word,
};
use super::{Check, Kind, kind};

pub(crate) static KINDS: &[Kind] = &[
    kind("1password-service-account-token", &["ops_eyJ"], &[Body(Base64Url, 100, 2000)])
        .at("my.1password.com"),
    kind(
        "1password-secret-key",
        &["A3-"],
        &[
            Body(UpperDigit, 6, 6),
            Lit("-"),
            Body(UpperDigit, 6, 6),
            Lit("-"),
            Body(UpperDigit, 5, 5),
            Lit("-"),
            Body(UpperDigit, 5, 5),
            Lit("-"),
            Body(UpperDigit, 5, 5),
            Lit("-"),
            Body(UpperDigit, 5, 5),
        ],
    ),
    kind(
        "1password-secret-key",
        &["A3-"],
        &[
            Body(UpperDigit, 6, 6),
            Lit("-"),
            Body(UpperDigit, 11, 11),
            Lit("-"),
            Body(UpperDigit, 5, 5),
            Lit("-"),
            Body(UpperDigit, 5, 5),
            Lit("-"),
            Body(UpperDigit, 5, 5),
        ],
    ),
    kind("adobe-client-secret", &["p8e-"], &[Body(LowerDigit, 32, 32)]).at("ims-na1.adobelogin.com"),
    kind("age-secret-key", &["AGE-SECRET-KEY-1"], &[Body(Bech32, 52, 52), Sum(Bech32, 6)])
        .summed(Check::Bech32),
    kind("airtable-token", &["pat"], &[Body(Alnum, 14, 14), Lit("."), Body(HexLower, 64, 64)])
        .at("api.airtable.com"),
    kind("alibaba-access-key-id", &["LTAI"], &[Body(Alnum, 12, 26)]).at("aliyuncs.com"),
    kind("amazon-bedrock-key", &["ABSK"], &[Body(Base64, 100, 280)]).at("amazonaws.com"),
    kind("amazon-bedrock-key", &["bedrock-api-key-"], &[Body(Base64, 28, 2000)]).at("amazonaws.com"),
    kind("amazon-mws-token", &["amzn.mws."], &[Body(HexDash, 36, 36)]).at("mws.amazonservices.com"),
    kind(
        "anthropic-api-key",
        &["sk-ant-"],
        &[Any(&["api03-", "admin01-", "oat01-", "ort01-", "sid01-"]), Body(Base64Url, 93, 93), Lit("AA")],
    )
    .at("api.anthropic.com"),
    kind(
        "anthropic-api-key",
        &["sk-ant-"],
        &[Any(&["api03-", "admin01-", "oat01-", "ort01-", "sid01-"]), Body(Base64Url, 24, 128)],
    )
    .at("api.anthropic.com"),
    kind("anthropic-api-key", &["sk-ant-"], &[Body(Base64Url, 24, 128)]).at("api.anthropic.com"),
    kind("apify-token", &["apify_api_"], &[Body(Alnum, 34, 40)]).at("api.apify.com"),
    kind("artifactory-api-key", &["AKCp"], &[Body(Alnum, 69, 69)]),
    kind("artifactory-reference-token", &["cmVmdGtuO"], &[Body(Alnum, 55, 55)]),
    kind("asana-token", &["0/", "1/", "2/"], &[Kept(Digit, 14, 18), Lit(":"), Body(HexLower, 32, 32)])
        .weak()
        .at("app.asana.com"),
    kind(
        "atlassian-api-token",
        &["ATATT3", "ATCTT3"],
        &[Body(Base64Url, 60, 300), Lit("="), Sum(HexUpper, 8)],
    )
    .summed(Check::Crc32HexUpper)
    .at("api.atlassian.com"),
    kind("atlassian-api-token", &["ATATT3", "ATCTT3", "ATAT"], &[Body(Loose, 60, 300)])
        .at("api.atlassian.com"),
    kind("aws-access-key-id", &["AKIA", "ASIA"], &[Body(Base32, 16, 16)]).at("amazonaws.com"),
    kind("aws-access-key-id", &["AKIA", "ASIA", "ABIA", "ACCA"], &[Body(UpperDigit, 16, 16)])
        .at("amazonaws.com"),
    kind("aws-access-key-id", &["A3T"], &[Body(UpperDigit, 17, 17)]).at("amazonaws.com"),
    kind("aws-session-token", &["IQoJb3JpZ2lu", "FwoGZXIvYXdz"], &[Body(Base64, 100, 2000)])
        .at("amazonaws.com"),
    kind("azure-storage-key", &[], &[Body(Base64, 76, 76), Lit("+ASt"), Sum(Base64, 8)])
        .summed(Check::MarvinStorage)
        .anchored(76, "+ASt")
        .at("core.windows.net"),
    kind("azure-cosmos-key", &[], &[Body(Base64, 76, 76), Lit("ACDb"), Sum(Base64, 8)])
        .summed(Check::MarvinCosmos)
        .anchored(76, "ACDb")
        .at("documents.azure.com"),
    kind("azure-api-key", &[], &[Body(Alnum, 52, 52), Lit("JQQJ99"), Kept(Alnum, 22, 22), Sum(Base64, 4)])
        .summed(Check::MarvinKey)
        .anchored(52, "JQQJ99")
        .at("azure.com"),
    kind("beamer-token", &["b_"], &[Body(Base64Url, 44, 44)]).weak().at("api.getbeamer.com"),
    kind("bitbucket-app-password", &["ATBB"], &[Body(Alnum, 32, 32)]).at("api.bitbucket.org"),
    kind(
        "bitwarden-access-token",
        &["0."],
        &[Kept(HexDash, 36, 36), Lit("."), Body(Alnum, 30, 30), Lit(":"), Body(Base64, 24, 24)],
    )
    .weak()
    .at("vault.bitwarden.com"),
    kind(
        "braintree-access-token",
        &["access_token$production$", "access_token$sandbox$"],
        &[Kept(LowerDigit, 16, 16), Lit("$"), Body(HexLower, 32, 32)],
    )
    .at("api.braintreegateway.com"),
    kind("brevo-api-key", &["xkeysib-"], &[Body(Hex, 64, 64), Lit("-"), Body(Alnum, 16, 16)])
        .at("api.brevo.com"),
    kind("brevo-smtp-key", &["xsmtpsib-"], &[Body(HexLower, 64, 64), Lit("-"), Body(Alnum, 16, 16)])
        .at("smtp-relay.brevo.com"),
    kind("browserbase-api-key", &["bb_live_", "bb_test_"], &[Body(Base64Url, 20, 40)])
        .at("api.browserbase.com"),
    kind("buildkite-agent-token", &["bkct_", "bkaj_"], &[Body(Base64Url, 20, 200)]).at("agent.buildkite.com"),
    kind("cerebras-api-key", &["csk-"], &[Body(LowerDigit, 48, 48)]).at("api.cerebras.ai"),
    kind(
        "circleci-token",
        &["CCIPAT_", "CCIPRJ_"],
        &[Kept(Alnum, 22, 22), Lit("_"), Body(LowerDigit, 40, 40)],
    )
    .at("circleci.com"),
    kind("clickhouse-api-secret", &["4b1d"], &[Body(Alnum, 38, 38)]).weak().at("api.clickhouse.cloud"),
    kind("clojars-token", &["CLOJARS_"], &[Body(LowerDigit, 60, 60)]).at("clojars.org"),
    kind("cloudflare-token", &["cfk_", "cfut_", "cfat_"], &[Body(Alnum, 40, 40), Sum(HexLower, 8)])
        .summed(Check::Crc32Hex)
        .at("api.cloudflare.com"),
    kind("cloudflare-ca-key", &["v1.0-"], &[Body(HexLower, 24, 24), Lit("-"), Body(HexLower, 146, 146)])
        .weak()
        .at("api.cloudflare.com"),
    kind("cloudinary-url", &["cloudinary://"], &[Kept(Digit, 10, 18), Lit(":"), Body(Base64Url, 20, 40)])
        .at("api.cloudinary.com"),
    kind("cohere-api-key", &["co_"], &[Body(Alnum, 37, 45)]).weak().at("api.cohere.com"),
    kind(
        "coinbase-access-token",
        &["organizations/"],
        &[Kept(HexDash, 36, 36), Lit("/apiKeys/"), Body(HexDash, 36, 36)],
    )
    .at("api.coinbase.com"),
    kind("composio-api-key", &["ak_"], &[Body(Base64Url, 20, 40)]).weak().at("backend.composio.dev"),
    kind("confluent-api-secret", &["cflt"], &[Body(Base64, 54, 54), Sum(Base64Raw, 6)])
        .summed(Check::Crc32Base64)
        .at("confluent.cloud"),
    kind("contentful-management-token", &["CFPAT-"], &[Body(Base64Url, 43, 43)]).at("api.contentful.com"),
    kind("crates-io-token", &["cio"], &[Body(Alnum, 32, 32)]).weak().at("crates.io"),
    kind("cursor-api-key", &["key_"], &[Body(HexLower, 64, 64)]).at("api.cursor.com"),
    kind(
        "databricks-token",
        &["dapi", "dkea", "dose"],
        &[Body(HexLower, 32, 32), Lit("-"), Kept(Digit, 1, 1)],
    )
    .at("cloud.databricks.com"),
    kind("databricks-token", &["dapi", "dkea", "dose"], &[Body(HexLower, 32, 32)]).at("cloud.databricks.com"),
    kind("daytona-api-key", &["dtn_"], &[Body(HexLower, 64, 64)]).at("app.daytona.io"),
    kind("deno-deploy-token", &["ddp_", "ddw_", "ddo_"], &[Body(Alnum, 36, 36)]).at("api.deno.com"),
    kind("digitalocean-token", &["dop_v1_", "doo_v1_", "dor_v1_"], &[Body(HexLower, 64, 64)])
        .at("api.digitalocean.com"),
    kind(
        "discord-bot-token",
        &["M", "N", "O"],
        &[Kept(Base64Url, 23, 27), Lit("."), Kept(Base64Url, 6, 6), Lit("."), Body(Base64Url, 27, 38)],
    )
    .weak()
    .at("discord.com"),
    kind(
        "discord-webhook-url",
        &["https://discord.com/api/webhooks/", "https://discordapp.com/api/webhooks/"],
        &[Kept(Digit, 17, 20), Lit("/"), Body(Base64Url, 60, 80)],
    )
    .at("discord.com"),
    kind("docker-access-token", &["dckr_pat_", "dckr_oat_"], &[Body(Base64Url, 20, 64)]).at("hub.docker.com"),
    kind(
        "doppler-token",
        &["dp.pt.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit.", "dp.said."],
        &[Body(Alnum, 40, 44)],
    )
    .at("api.doppler.com"),
    kind("doppler-service-token", &["dp.st."], &[Kept(LowerDash, 2, 35), Lit("."), Body(Alnum, 40, 44)])
        .at("api.doppler.com"),
    kind("doppler-service-token", &["dp.st."], &[Body(Alnum, 40, 44)]).at("api.doppler.com"),
    kind("dotenv-key", &["dotenv://:key_"], &[Body(HexLower, 64, 64)]).at("vault.dotenv.org"),
    kind("dropbox-token", &["sl."], &[Body(Base64Url, 130, 200)]).at("api.dropboxapi.com"),
    kind("duffel-token", &["duffel_test_", "duffel_live_"], &[Body(Loose, 43, 43)]).at("api.duffel.com"),
    kind(
        "dynatrace-token",
        &["dt0c01.", "dt0s01.", "dt0s02.", "dt0s03.", "dt0s08.", "dt0s09.", "dt0s16."],
        &[Kept(Base32, 24, 24), Lit("."), Body(Base32, 64, 64)],
    )
    .at("live.dynatrace.com"),
    kind("easypost-key", &["EZAK", "EZTK"], &[Body(Alnum, 54, 54)]).at("api.easypost.com"),
    kind("e2b-api-key", &["e2b_"], &[Body(HexLower, 40, 40)]).at("api.e2b.dev"),
    kind("elevenlabs-api-key", &["sk_"], &[Body(HexLower, 48, 48)]).weak().at("api.elevenlabs.io"),
    kind("endor-labs-key", &["endr+"], &[Body(Alnum, 16, 16)]).weak().at("api.endorlabs.com"),
    kind("fal-key", &[], &[Body(HexDash, 36, 36), Lit(":"), Body(HexLower, 32, 32)])
        .anchored(36, ":")
        .weak()
        .at("fal.run"),
    kind("figma-token", &["figd_", "figp_", "figu_"], &[Body(Base64Url, 38, 60)]).at("api.figma.com"),
    kind("fireworks-api-key", &["fw_"], &[Body(Alnum, 24, 24)]).at("api.fireworks.ai"),
    kind("flutterwave-key", &["FLWSECK_TEST-", "FLWSECK-"], &[Body(LowerDigit, 32, 40), Lit("-X")])
        .at("api.flutterwave.com"),
    kind(
        "flutterwave-encryption-key",
        &["FLWSECK_TEST-", "FLWSECK_TEST", "FLWSECK-"],
        &[Body(LowerDigit, 12, 12)],
    )
    .at("api.flutterwave.com"),
    kind("fly-token", &["fo1_"], &[Body(Base64Url, 43, 43)]).at("api.fly.io"),
    kind("fly-token", &["fm1a_", "fm1r_", "fm2_", "FlyV1 fm2_", "FlyV1 fm1r_"], &[Body(Loose, 50, 2000)])
        .at("api.fly.io"),
    kind("frameio-token", &["fio-u-"], &[Body(Loose, 64, 64)]).at("api.frame.io"),
    kind("gitea-token", &["gta_"], &[Body(HexLower, 40, 40)]),
    kind("github-token", &["ghp_", "gho_", "ghu_", "ghs_"], &[Body(Alnum, 30, 30), Sum(Alnum, 6)])
        .summed(Check::Crc32Base62)
        .at("github.com"),
    kind("github-refresh-token", &["ghr_"], &[Body(Alnum, 70, 70), Sum(Alnum, 6)])
        .summed(Check::Crc32Base62)
        .at("github.com"),
    kind(
        "github-fine-grained-token",
        &["github_pat_"],
        &[Body(Alnum, 22, 22), Lit("_"), Body(Alnum, 51, 51), Sum(Base32, 8)],
    )
    .summed(Check::Sha256Base32)
    .at("github.com"),
    kind("github-fine-grained-token", &["github_pat_"], &[Body(Word, 82, 82)]).at("github.com"),
    kind("gc-notify-api-key", &["gcntfy-"], &[Body(Base64Url, 73, 200)]).at("api.notification.canada.ca"),
    kind(
        "gitlab-token",
        &["glpat-", "gldt-", "glrt-", "glrtr-"],
        &[Body(Base64Url, 27, 300), Lit(".01."), Kept(LowerDigit, 2, 2), Sum(LowerDigit, 7)],
    )
    .summed(Check::Crc32Base36)
    .at("gitlab.com"),
    kind(
        "gitlab-token",
        &[
            "glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-", "glimt-", "glagent-",
            "gloas-", "glffct-", "glrtr-",
        ],
        &[Body(Base64Url, 20, 300)],
    )
    .at("gitlab.com"),
    kind("gitlab-runner-token", &["GR1348941"], &[Body(Base64Url, 20, 50)]).at("gitlab.com"),
    kind("gocardless-token", &["live_", "sandbox_"], &[Body(Base64Url, 40, 40)])
        .weak()
        .at("api.gocardless.com"),
    kind("google-api-key", &["AIza"], &[Body(Base64Url, 35, 35)]).at("googleapis.com"),
    kind("google-oauth-access-token", &["ya29."], &[Body(Dotted, 40, 1024)]).at("googleapis.com"),
    kind("google-oauth-refresh-token", &["1//0"], &[Body(Base64Url, 40, 200)])
        .weak()
        .at("oauth2.googleapis.com"),
    kind("google-oauth-client-secret", &["GOCSPX-"], &[Body(Base64Url, 28, 28)]).at("oauth2.googleapis.com"),
    kind("google-hmac-key-id", &["GOOG1"], &[Body(UpperDigit, 56, 56)]).at("storage.googleapis.com"),
    kind("grafana-service-account-token", &["glsa_"], &[Body(Alnum, 32, 32), Lit("_"), Sum(Hex, 8)])
        .summed(Check::Crc32HexLittle)
        .at("grafana.net"),
    kind("grafana-cloud-token", &["glc_"], &[Body(Base64, 32, 400)]).at("grafana.net"),
    kind("groq-api-key", &["gsk_"], &[Body(Alnum, 48, 60)]).at("api.groq.com"),
    kind(
        "harness-token",
        &["pat.", "sat."],
        &[Kept(Base64Url, 22, 22), Lit("."), Kept(HexLower, 24, 24), Lit("."), Body(Alnum, 20, 20)],
    )
    .at("app.harness.io"),
    kind("heroku-token", &["HRKU-"], &[Body(HexDash, 36, 36)]).at("api.heroku.com"),
    kind("hashicorp-terraform-token", &[], &[Body(Alnum, 14, 14), Lit(".atlasv1."), Body(Loose, 60, 70)])
        .anchored(14, ".atlasv1.")
        .at("app.terraform.io"),
    kind("hubspot-token", &["pat-na1-", "pat-na2-", "pat-eu1-", "pat-ap1-"], &[Body(HexDash, 36, 36)])
        .at("api.hubapi.com"),
    kind("huggingface-token", &["hf_", "api_org_"], &[Body(Alnum, 30, 40)]).at("huggingface.co"),
    kind("infracost-token", &["ico-"], &[Body(Alnum, 32, 32)]).at("pricing.api.infracost.io"),
    kind("intercom-token", &["dG9rO"], &[Body(Base64, 54, 60)]).weak().at("api.intercom.io"),
    kind("jina-api-key", &["jina_"], &[Body(Base64Url, 60, 60)]).at("api.jina.ai"),
    kind("klaviyo-key", &["pk_"], &[Body(HexLower, 34, 34)]).weak().at("a.klaviyo.com"),
    kind("langfuse-key", &["sk-lf-"], &[Body(HexDash, 36, 36)]).at("cloud.langfuse.com"),
    kind("langsmith-key", &["lsv2_pt_", "lsv2_sk_"], &[Body(Hex, 32, 32), Lit("_"), Body(Hex, 10, 10)])
        .at("api.smith.langchain.com"),
    kind("launchdarkly-key", &["sdk-", "api-", "mob-"], &[Body(HexDash, 36, 36)])
        .weak()
        .at("app.launchdarkly.com"),
    kind("linear-api-key", &["lin_api_", "lin_oauth_"], &[Body(Alnum, 40, 64)]).at("api.linear.app"),
    kind("linkedin-client-secret", &["WPL_AP1.", "WPL_AP0."], &[Body(Loose, 20, 40)]).at("api.linkedin.com"),
    kind("lob-key", &["live_", "test_"], &[Body(HexLower, 35, 35)]).weak().at("api.lob.com"),
    kind("mailchimp-key", &[], &[Body(HexLower, 32, 32), Lit("-us"), Kept(Digit, 1, 2)])
        .anchored(32, "-us")
        .at("api.mailchimp.com"),
    kind("mailgun-key", &["key-"], &[Body(HexLower, 32, 32)]).at("api.mailgun.net"),
    kind("mandrill-key", &["md-"], &[Body(Base64Url, 22, 22)]).weak().at("mandrillapp.com"),
    kind("mapbox-secret-token", &["sk.eyJ"], &[Body(Base64Url, 40, 200), Lit("."), Body(Base64Url, 22, 22)])
        .at("api.mapbox.com"),
    kind("maxmind-key", &[], &[Body(Alnum, 6, 6), Lit("_"), Body(Alnum, 29, 29), Lit("_mmk")])
        .anchored(36, "_mmk")
        .at("geoip.maxmind.com"),
    kind(
        "microsoft-teams-webhook-url",
        &["https://"],
        &[
            Kept(LowerDash, 2, 120),
            Lit(".webhook.office.com/webhookb2/"),
            Kept(LowerDash, 36, 36),
            Lit("@"),
            Kept(LowerDash, 36, 36),
            Lit("/IncomingWebhook/"),
            Body(LowerDigit, 32, 32),
            Lit("/"),
            Kept(LowerDash, 36, 36),
        ],
    )
    .at("webhook.office.com"),
    kind("midtrans-key", &["SB-Mid-server-", "Mid-server-"], &[Body(Base64Url, 20, 32)])
        .at("api.midtrans.com"),
    kind("mongodb-atlas-service-secret", &["mdb_sa_sk_"], &[Body(Base64Url, 40, 40)]).at("cloud.mongodb.com"),
    kind("nats-seed", &["SUA", "SAA", "SOA", "SNA", "SCA", "SXA"], &[Body(Base32, 51, 51), Sum(Base32, 4)])
        .summed(Check::Crc16Nkey)
        .weak(),
    kind("neon-api-key", &["napi_"], &[Body(Alnum, 64, 64)]).at("console.neon.tech"),
    kind("netlify-token", &["nfp_", "nfo_", "nfc_", "nfu_"], &[Body(Alnum, 36, 36)]).at("api.netlify.com"),
    kind("new-relic-key", &["NRAK-", "NRIQ-", "NRAA-"], &[Body(UpperDigit, 27, 32)]).at("api.newrelic.com"),
    kind("new-relic-license-key", &[], &[Body(HexLower, 36, 36), Lit("NRAL")])
        .anchored(36, "NRAL")
        .at("newrelic.com"),
    kind("new-relic-insert-key", &["NRII-", "NRJS-", "NRRA-"], &[Body(Base64Url, 19, 42)]).at("newrelic.com"),
    kind("nightfall-key", &["NF-"], &[Body(Alnum, 32, 32)]).weak().at("api.nightfall.ai"),
    kind("notion-token", &["ntn_"], &[Kept(Digit, 11, 11), Body(Alnum, 35, 35)]).at("api.notion.com"),
    kind("notion-token", &["secret_"], &[Body(Alnum, 43, 43)]).at("api.notion.com"),
    kind("npm-token", &["npm_"], &[Body(Alnum, 30, 30), Sum(Alnum, 6)])
        .summed(Check::Crc32Base62)
        .at("registry.npmjs.org"),
    kind("nuget-api-key", &["oy2"], &[Body(LowerDigit, 43, 43)]).weak().at("api.nuget.org"),
    kind("nvidia-api-key", &["nvapi-"], &[Body(Base64Url, 60, 80)]).at("integrate.api.nvidia.com"),
    kind("octopus-key", &["API-"], &[Body(UpperDigit, 26, 26)]),
    kind("okta-token", &["00"], &[Body(Base64Url, 40, 40)]).weak().at("okta.com"),
    kind(
        "openai-api-key",
        &["sk-"],
        &[
            Any(&["proj-", "svcacct-", "admin-"]),
            Body(Base64Url, 74, 74),
            Lit("T3BlbkFJ"),
            Body(Base64Url, 74, 74),
        ],
    )
    .at("api.openai.com"),
    kind(
        "openai-api-key",
        &["sk-"],
        &[
            Any(&["proj-", "svcacct-", "admin-"]),
            Body(Base64Url, 58, 58),
            Lit("T3BlbkFJ"),
            Body(Base64Url, 58, 58),
        ],
    )
    .at("api.openai.com"),
    kind("openai-api-key", &["sk-"], &[Body(Alnum, 20, 20), Lit("T3BlbkFJ"), Body(Alnum, 20, 20)])
        .at("api.openai.com"),
    kind("openai-api-key", &["sk-"], &[Any(&["proj-", "svcacct-", "admin-"]), Body(Base64Url, 24, 200)])
        .at("api.openai.com"),
    kind("openrouter-api-key", &["sk-or-v1-"], &[Body(HexLower, 64, 64)]).at("openrouter.ai"),
    kind("openrouter-api-key", &["sk-or-v1-", "sk-or-v"], &[Body(Base64Url, 20, 200)]).at("openrouter.ai"),
    kind("openshift-token", &["sha256~"], &[Body(Base64Url, 43, 43)]),
    kind(
        "paddle-key",
        &["pdl_live_apikey_", "pdl_sdbx_apikey_"],
        &[Kept(LowerDigit, 26, 26), Lit("_"), Body(Alnum, 22, 22), Lit("_"), Body(Alnum, 3, 3)],
    )
    .at("api.paddle.com"),
    kind("pagerduty-key", &["u+", "y_"], &[Body(Alnum, 18, 18)]).weak().at("api.pagerduty.com"),
    kind(
        "paypal-braintree-key",
        &["production_", "sandbox_"],
        &[Kept(LowerDigit, 8, 8), Lit("_"), Body(LowerDigit, 16, 16)],
    )
    .weak()
    .at("api.braintreegateway.com"),
    kind("perplexity-api-key", &["pplx-"], &[Body(Alnum, 40, 64)]).at("api.perplexity.ai"),
    kind("pinecone-api-key", &["pcsk_"], &[Kept(Alnum, 5, 6), Lit("_"), Body(Alnum, 60, 66)])
        .at("api.pinecone.io"),
    kind(
        "plaid-access-token",
        &["access-sandbox-", "access-development-", "access-production-"],
        &[Body(HexDash, 36, 36)],
    )
    .at("production.plaid.com"),
    kind("planetscale-token", &["pscale_tkn_", "pscale_pw_", "pscale_oauth_"], &[Body(Loose, 32, 64)])
        .at("api.planetscale.com"),
    kind("posthog-personal-key", &["phx_"], &[Body(Base64Url, 41, 49)]).at("posthog.com"),
    kind("postman-api-key", &["PMAK-"], &[Body(Hex, 24, 24), Lit("-"), Body(Hex, 34, 34)])
        .at("api.getpostman.com"),
    kind("postman-collection-key", &["PMAT-"], &[Body(Alnum, 26, 26)]).at("api.getpostman.com"),
    kind("prefect-key", &["pnu_", "pnb_"], &[Body(Alnum, 36, 36)]).at("api.prefect.cloud"),
    kind("pulumi-token", &["pul-"], &[Body(HexLower, 40, 40)]).at("api.pulumi.com"),
    kind("pypi-token", &["pypi-AgEIcHlwaS5vcmc", "pypi-AgENdGVzdC5weXBpLm9yZw"], &[Body(Base64Url, 50, 400)])
        .at("upload.pypi.org"),
    kind(
        "rapidapi-key",
        &[],
        &[
            Body(HexLower, 10, 10),
            Lit("msh"),
            Body(LowerDigit, 15, 15),
            Lit("p1"),
            Body(HexLower, 6, 6),
            Lit("jsn"),
            Body(HexLower, 12, 12),
        ],
    )
    .anchored(10, "msh")
    .at("rapidapi.com"),
    kind("readme-key", &["rdme_"], &[Body(LowerDigit, 70, 70)]).at("dash.readme.com"),
    kind("render-api-key", &["rnd_"], &[Body(Alnum, 28, 36)]).at("api.render.com"),
    kind("replicate-token", &["r8_"], &[Body(Alnum, 37, 37)]).at("api.replicate.com"),
    kind("resend-key", &["re_"], &[Kept(Alnum, 8, 8), Lit("_"), Body(Alnum, 24, 24)]).at("api.resend.com"),
    kind("rootly-key", &["rootly_"], &[Body(HexLower, 64, 64)]).at("api.rootly.com"),
    kind("rubygems-key", &["rubygems_"], &[Body(HexLower, 48, 48)]).at("rubygems.org"),
    kind("runpod-key", &["rpa_"], &[Body(Alnum, 40, 48)]).at("api.runpod.io"),
    kind("scaleway-access-key", &["SCW"], &[Body(UpperDigit, 17, 17)]).weak().at("api.scaleway.com"),
    kind("scalingo-token", &["tk-us-"], &[Body(Base64Url, 48, 48)]).at("api.scalingo.com"),
    kind("segment-token", &["sgp_"], &[Body(Alnum, 64, 64)]).at("api.segmentapis.com"),
    kind("sendgrid-api-key", &["SG."], &[Body(Base64Url, 22, 22), Lit("."), Body(Base64Url, 43, 43)])
        .at("api.sendgrid.com"),
    kind("sentry-token", &["sntryu_", "sntrya_"], &[Body(HexLower, 64, 64)]).at("sentry.io"),
    kind("sentry-org-token", &["sntrys_"], &[Body(Loose, 60, 400)]).at("sentry.io"),
    kind("settlemint-token", &["sm_pat_", "sm_aat_", "sm_sat_"], &[Body(Alnum, 16, 16)])
        .at("console.settlemint.com"),
    kind("shippo-token", &["shippo_live_", "shippo_test_"], &[Body(Hex, 40, 40)]).at("api.goshippo.com"),
    kind(
        "shopify-access-token",
        &["shpat_", "shpca_", "shppa_", "shpss_", "shprt_", "shpua_"],
        &[Body(Hex, 32, 32)],
    )
    .at("myshopify.com"),
    kind(
        "slack-bot-token",
        &["xoxb-"],
        &[Kept(Digit, 6, 14), Lit("-"), Kept(Digit, 6, 14), Lit("-"), Body(Alnum, 20, 40)],
    )
    .at("slack.com"),
    kind(
        "slack-user-token",
        &["xoxp-", "xoxa-", "xoxs-"],
        &[
            Kept(Digit, 6, 14),
            Lit("-"),
            Kept(Digit, 6, 14),
            Lit("-"),
            Kept(Digit, 6, 14),
            Lit("-"),
            Body(Alnum, 18, 64),
        ],
    )
    .at("slack.com"),
    kind(
        "slack-app-token",
        &["xapp-"],
        &[
            Kept(Digit, 1, 10),
            Lit("-"),
            Kept(Alnum, 2, 120),
            Lit("-"),
            Kept(Digit, 1, 120),
            Lit("-"),
            Body(Alnum, 8, 200),
        ],
    )
    .at("slack.com"),
    kind(
        "slack-webhook-url",
        &[
            "https://hooks.slack.com/services/",
            "https://hooks.slack.com/workflows/",
            "https://hooks.slack.com/triggers/",
        ],
        &[Kept(UpperDigit, 8, 14), Lit("/"), Kept(Alnum, 8, 24), Lit("/"), Body(Alnum, 18, 48)],
    )
    .at("hooks.slack.com"),
    kind("sonarqube-token", &["squ_", "sqp_", "sqa_"], &[Body(HexLower, 40, 40)]).at("sonarcloud.io"),
    kind("sourcegraph-token", &["sgp_"], &[Kept(Hex, 16, 16), Lit("_"), Body(Hex, 40, 40)])
        .at("sourcegraph.com"),
    kind("sourcegraph-token", &["sgp_", "sgs_", "sgd_", "sgm_", "slk_"], &[Body(Hex, 40, 64)])
        .at("sourcegraph.com"),
    kind("square-access-token", &["EAAA"], &[Body(Base64Url, 60, 60)]).at("connect.squareup.com"),
    kind("square-access-token", &["sq0atp-", "sq0idp-"], &[Body(Base64Url, 22, 22)])
        .at("connect.squareup.com"),
    kind("square-oauth-secret", &["sq0csp-"], &[Body(Base64Url, 43, 43)]).at("connect.squareup.com"),
    kind("stability-key", &["sk-"], &[Body(Alnum, 48, 48)]).weak().at("api.stability.ai"),
    kind("stripe-secret-key", &["sk_live_", "sk_test_", "sk_prod_"], &[Body(Alnum, 10, 200)])
        .at("api.stripe.com"),
    kind("stripe-restricted-key", &["rk_live_", "rk_test_", "rk_prod_"], &[Body(Alnum, 10, 200)])
        .at("api.stripe.com"),
    kind("supabase-key", &["sb_secret_"], &[Body(Base64Url, 20, 64)]).at("supabase.co"),
    kind("supabase-access-token", &["sbp_", "sbp_oauth_"], &[Body(Base64Url, 40, 40)]).at("api.supabase.com"),
    kind(
        "tailscale-key",
        &["tskey-auth-", "tskey-api-", "tskey-client-", "tskey-webhook-", "tskey-scim-"],
        &[Body(Base64Url, 20, 70)],
    )
    .at("api.tailscale.com"),
    kind("tavily-api-key", &["tvly-"], &[Body(Base64Url, 20, 64)]).at("api.tavily.com"),
    kind("telegram-bot-token", &[], &[Kept(Digit, 8, 10), Lit(":A"), Body(Base64Url, 34, 34)])
        .anchored_by_digits(":A")
        .at("api.telegram.org"),
    kind("tencent-secret-id", &["AKID"], &[Body(Alnum, 32, 32)]).at("tencentcloudapi.com"),
    kind("together-api-key", &["tgp_v1_"], &[Body(Base64Url, 43, 43)]).at("api.together.xyz"),
    kind("trello-token", &["ATTA"], &[Body(HexLower, 72, 72)]).at("api.trello.com"),
    kind("trigger-key", &["tr_dev_", "tr_prod_", "tr_stg_", "tr_pat_"], &[Body(Alnum, 20, 48)])
        .at("api.trigger.dev"),
    kind("twilio-api-key-sid", &["SK"], &[Body(HexLower, 32, 32)]).weak().at("api.twilio.com"),
    kind("typeform-token", &["tfp_"], &[Body(Base64Url, 40, 64)]).at("api.typeform.com"),
    kind("unkey-root-key", &["unkey_"], &[Body(Alnum, 20, 32)]).at("api.unkey.dev"),
    kind("vault-token", &["hvs.", "hvb.", "hvr."], &[Body(Base64Url, 20, 300)]),
    kind("vault-legacy-token", &["s.", "b."], &[Body(Alnum, 24, 24)]).weak(),
    kind("vercel-token", &["vcp_", "vci_", "vca_", "vcr_", "vck_"], &[Body(Alnum, 50, 50), Sum(Alnum, 6)])
        .summed(Check::Crc32Base62)
        .at("api.vercel.com"),
    kind("vercel-token", &["vcp_", "vci_", "vca_", "vcr_", "vck_"], &[Body(Base64Url, 56, 56)])
        .at("api.vercel.com"),
    kind("vercel-blob-token", &["vercel_blob_rw_"], &[Kept(Alnum, 16, 16), Lit("_"), Body(Alnum, 30, 32)])
        .at("blob.vercel-storage.com"),
    kind("voyage-api-key", &["pa-"], &[Body(Base64Url, 43, 43)]).weak().at("api.voyageai.com"),
    kind("wakatime-key", &["waka_"], &[Body(HexDash, 36, 36)]).at("wakatime.com"),
    kind("webflow-token", &["ws-"], &[Body(HexLower, 64, 64)]).weak().at("api.webflow.com"),
    kind("webhook-signing-secret", &["whsec_"], &[Body(Base64, 24, 80)]),
    kind("workos-api-key", &["sk_a2V5X"], &[Body(Alnum, 30, 120)]).at("api.workos.com"),
    kind("xai-api-key", &["xai-"], &[Body(Base64Url, 60, 120)]).at("api.x.ai"),
    kind("xata-key", &["xau_"], &[Body(Alnum, 32, 44)]).at("api.xata.io"),
    kind("yandex-api-key", &["AQVN"], &[Body(Base64Url, 35, 38)]).at("api.cloud.yandex.net"),
    kind("yandex-oauth-token", &["y0_"], &[Body(Base64Url, 50, 70)]).at("oauth.yandex.ru"),
    kind("yandex-iam-token", &["t1."], &[Body(Base64Url, 1, 12), Lit("."), Body(Base64Url, 86, 86)])
        .weak()
        .at("api.cloud.yandex.net"),
    kind(
        "zapier-webhook-url",
        &["https://hooks.zapier.com/hooks/catch/"],
        &[Kept(Digit, 5, 9), Lit("/"), Body(LowerDigit, 6, 12)],
    )
    .at("hooks.zapier.com"),
    kind("aikido-token", &["AIK_CI_", "AIK_SECRET_"], &[Body(Alnum, 20, 64)]).at("app.aikido.dev"),
    kind(
        "authress-key",
        &["sc_", "ext_", "scauth_", "authress_"],
        &[
            Kept(LowerDigit, 5, 30),
            Lit("."),
            Kept(LowerDigit, 4, 6),
            Lit(".acc"),
            Kept(Base64Url, 11, 33),
            Lit("."),
            Body(Loose, 30, 120),
        ],
    )
    .at("authress.io"),
    kind("bitbucket-data-center-token", &["BBDC-"], &[Body(Base64, 32, 80)]),
    kind("buildkite-token", &["bkua_"], &[Body(LowerDigit, 40, 53)]).at("api.buildkite.com"),
    kind("canva-client-secret", &["cnvca"], &[Body(Base64Url, 51, 51)]).at("api.canva.com"),
    kind("cartesia-api-key", &["sk_car_"], &[Body(Word, 20, 22)]).at("api.cartesia.ai"),
    kind("cloudsmith-api-key", &["csa_"], &[Body(HexLower, 30, 30), Body(Alnum, 6, 6)])
        .at("api.cloudsmith.io"),
    kind("cockroach-cloud-key", &["CCDB1_"], &[Kept(Alnum, 22, 22), Lit("_"), Body(Alnum, 40, 40)])
        .at("cockroachlabs.cloud"),
    kind(
        "configcat-sdk-key",
        &["configcat-sdk-1/"],
        &[Kept(Base64Url, 22, 22), Lit("/"), Body(Base64Url, 22, 22)],
    )
    .at("cdn-global.configcat.com"),
    kind("datastax-astra-token", &["AstraCS:"], &[Kept(Alnum, 24, 24), Lit(":"), Body(HexLower, 64, 64)])
        .at("api.astra.datastax.com"),
    kind("datastax-astra-token", &["AstraCS:"], &[Body(Alnum, 20, 100)]).at("api.astra.datastax.com"),
    kind("devcycle-key", &["dvc_client_", "dvc_mobile_", "dvc_server_"], &[Body(Word, 8, 64)])
        .at("api.devcycle.com"),
    kind("devin-api-key", &["apk_"], &[Body(Base64, 80, 104)]).at("api.devin.ai"),
    kind("devin-user-token", &["cog_"], &[Body(LowerDigit, 52, 52)]).at("api.devin.ai"),
    kind(
        "docker-swarm-token",
        &["SWMTKN-1-"],
        &[Body(LowerDigit, 50, 60), Lit("-"), Body(LowerDigit, 24, 30)],
    ),
    kind("docker-swarm-key", &["SWMKEY-1-"], &[Body(Base64, 40, 50)]),
    kind("elastic-cloud-key", &["essu_"], &[Body(Loose, 60, 204)]).at("api.elastic-cloud.com"),
    kind("github-refresh-token", &["ghr_"], &[Body(Alnum, 30, 30), Sum(Alnum, 6)])
        .summed(Check::Crc32Base62)
        .at("github.com"),
    kind("gitlab-session-cookie", &["_gitlab_session="], &[Body(LowerDigit, 32, 32)]).at("gitlab.com"),
    kind("grafana-api-key", &["eyJrIjoi"], &[Body(Base64, 40, 400)]).at("grafana.net"),
    kind("heroku-token", &["HRKU-"], &[Body(Base64Url, 60, 60)]).at("api.heroku.com"),
    kind("intra42-client-secret", &["s-s4t2ud-", "s-s4t2af-"], &[Body(HexLower, 64, 64)])
        .at("api.intra.42.fr"),
    kind("ionic-token", &["ion_"], &[Body(Alnum, 42, 42)]).at("ionicframework.com"),
    kind("lichess-token", &["lip_", "lio_"], &[Body(Word, 16, 60)]).at("lichess.org"),
    kind("llama-cloud-key", &["llx-"], &[Body(Alnum, 44, 52)]).at("api.cloud.llamaindex.ai"),
    kind("mailersend-token", &["mlsn."], &[Body(Alnum, 30, 100)]).at("api.mailersend.com"),
    kind(
        "mercury-token",
        &["mercury_production_"],
        &[Kept(LowerDigit, 3, 6), Lit("_"), Body(Alnum, 40, 50), Lit("_yrucrem")],
    )
    .at("api.mercury.com"),
    kind("mergify-key", &["mergify_application_key_"], &[Body(Base64Url, 40, 200)]).at("api.mergify.com"),
    kind("miro-access-token", &["eyJtaXJv"], &[Body(Base64Url, 30, 140)]).at("api.miro.com"),
    kind("nylas-api-key", &["nyk_", "nyk_v0_"], &[Body(Alnum, 40, 80)]).at("api.us.nylas.com"),
    kind(
        "onfido-api-token",
        &["api_live.", "api_live_us.", "api_live_ca.", "api_live_eu.", "api_sandbox.", "api_sandbox_us."],
        &[Body(Base64Url, 20, 90)],
    )
    .at("api.onfido.com"),
    kind(
        "packagist-token",
        &["packagist_ort_", "packagist_out_", "packagist_acs_", "packagist_uut_"],
        &[Body(HexLower, 64, 96)],
    )
    .at("packagist.com"),
    kind("packagist-key", &["packagist_ack_"], &[Body(HexLower, 28, 32)]).at("packagist.com"),
    kind("persona-api-key", &["persona_production_", "persona_sandbox_"], &[Body(Base64Url, 20, 80)])
        .at("withpersona.com"),
    kind("pinterest-token", &["pina_", "pinr_", "pinc_"], &[Body(Base64Url, 20, 200)])
        .at("api.pinterest.com"),
    kind(
        "polar-token",
        &["polar_at_", "polar_oat_", "polar_pat_", "polar_ust_", "polar_rt_"],
        &[Body(Base64Url, 20, 100)],
    )
    .at("api.polar.sh"),
    kind("posthog-project-key", &["phc_"], &[Body(Base64Url, 41, 48)]).weak().at("posthog.com"),
    kind("proof-api-key", &["prf_"], &[Body(Base64Url, 20, 90)]).at("api.proof.com"),
    kind("ramp-client-secret", &["ramp_sec_"], &[Body(Alnum, 48, 48)]).at("api.ramp.com"),
    kind("ramp-client-id", &["ramp_id_"], &[Body(Alnum, 40, 40)]).weak().at("api.ramp.com"),
    kind("razorpay-key", &["rzp_live_", "rzp_test_"], &[Body(Alnum, 14, 14)]).at("api.razorpay.com"),
    kind("samsara-token", &["samsara_api_"], &[Body(Alnum, 26, 32)]).at("api.samsara.com"),
    kind(
        "slack-user-token",
        &["xoxo-", "xoxs-"],
        &[
            Kept(Digit, 1, 120),
            Lit("-"),
            Kept(Digit, 1, 120),
            Lit("-"),
            Kept(Digit, 1, 120),
            Lit("-"),
            Body(Hex, 8, 120),
        ],
    )
    .at("slack.com"),
    kind("sourcegraph-token", &["sgp_local_"], &[Body(Hex, 40, 40)]).at("sourcegraph.com"),
    kind("square-access-token", &["EAAA", "sq0atp-"], &[Body(Base64Url, 22, 60)]).at("connect.squareup.com"),
    kind("thunderstore-token", &["tss_"], &[Body(Base64Url, 20, 80)]).at("thunderstore.io"),
    kind("upcloud-token", &["ucat_"], &[Body(Alnum, 24, 32)]).at("api.upcloud.com"),
    kind("val-town-token", &["vtwn_"], &[Body(Base64Url, 20, 80)]).at("api.val.town"),
    kind("wakatime-key", &["waka_"], &[Body(LowerDigit, 36, 64)]).at("wakatime.com"),
    kind("wandb-key", &["wandb_v1_"], &[Body(Word, 77, 77)]).at("api.wandb.ai"),
    kind(
        "workato-token",
        &["wrka"],
        &[
            Kept(LowerDigit, 0, 2),
            Lit("-eyJ"),
            Body(Base64Url, 8, 200),
            Lit("."),
            Body(Base64Url, 16, 400),
            Lit("."),
            Body(Base64Url, 16, 512),
        ],
    )
    .at("www.workato.com"),
    kind("xendit-key", &["xnd_production_", "xnd_development_"], &[Body(Alnum, 56, 72)]).at("api.xendit.co"),
    kind("zuplo-key", &["zpka_"], &[Body(LowerDigit, 32, 32), Lit("_"), Body(HexLower, 8, 8)])
        .at("api.zuplo.com"),
    kind("facebook-access-token", &["EAA"], &[Body(Alnum, 80, 400)]).weak().at("graph.facebook.com"),
    kind(
        "slack-token",
        &["xoxe.xoxp-", "xoxe.xoxb-", "xoxe-", "xoxc-", "xoxd-", "xoxr-", "xoxb-", "xoxp-", "xoxa-", "xoxs-"],
        &[Body(Dotted, 16, 256)],
    )
    .at("slack.com"),
    kind("redirect-pizza-token", &["rpa_"], &[Body(Alnum, 30, 30)]).at("redirect.pizza"),
    kind("slack-token", &["xoxa-", "xoxr-"], &[Body(Dotted, 8, 60)]).at("slack.com"),
];
