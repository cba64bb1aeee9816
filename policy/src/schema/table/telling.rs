//! The keys about what is told of a run: its record, and who is sent a notice.

use super::super::words::Notice;
use super::{Key, Kind, Order, Shape};

pub(super) const TRACE: Key = section!(
    "trace",
    None,
    "What the run record keeps, and where its events go beside it.",
    &[
        leaf!(
            "stdin",
            "trace.stdin",
            Kind::Flag { default: false },
            Order::True,
            "false",
            None,
            "Whether what is typed is recorded, beside what is printed."
        ),
        leaf!(
            "stdio_size",
            "trace.stdio_size",
            Kind::Budget { default: 16 << 20 },
            Order::Person,
            "16MiB",
            None,
            "How much of what is printed (and typed) is recorded; what is more is only counted."
        ),
        leaf!(
            "sinks",
            "trace.sinks",
            Kind::Sinks,
            Order::Person,
            r#"["unix:/run/user/1000/audit.sock", "syslog", "journald", "otlp:http://127.0.0.1:4318"]"#,
            Some("--sink"),
            "Who gets the events too, live: `unix:PATH`, `syslog` or `syslog:PATH`, `journald` or `journald:PATH`, `otlp:URL`."
        ),
        RETENTION,
    ]
);

const RETENTION: Key = Key {
    name: "retention",
    path: "trace.retention",
    doc: "How long records are kept: after each run those beyond it go. Never one that holds undecided work.",
    shape: Shape::Section {
        short: None,
        keys: &[
            leaf!(
                "max_days",
                "trace.retention.max_days",
                Kind::Count,
                Order::Person,
                "none",
                None,
                "Records older than so many days go."
            ),
            leaf!(
                "max_runs",
                "trace.retention.max_runs",
                Kind::Count,
                Order::Person,
                "none",
                None,
                "Beyond so many records the oldest go."
            ),
            leaf!(
                "max_size",
                "trace.retention.max_size",
                Kind::Size,
                Order::Person,
                "none",
                None,
                "Beyond so many bytes of all records, on disk, the oldest go."
            ),
        ],
    },
    example: "",
    option: None,
};

pub(super) const NOTIFY: Key = section!(
    "notify",
    None,
    "Who is told that a run waits for a review. Not in a project's policy: it can start a command and name hosts.",
    &[
        leaf!(
            "on",
            "notify.on",
            Kind::Words { words: Notice::WORDS, default: &["held"] },
            Order::Person,
            "[held]",
            None,
            "When."
        ),
        leaf!(
            "deadline_seconds",
            "notify.deadline_seconds",
            Kind::Within { default: 10_000 },
            Order::Person,
            "10",
            None,
            "How long the end of a run waits for all notices together, retries included."
        ),
        SLACK,
        LINEAR,
        WEBHOOK,
        leaf!(
            "command",
            "notify.command",
            Kind::Command,
            Order::Person,
            r#"["/usr/local/bin/tell", "--urgent"]"#,
            None,
            "A program by its absolute path (or under `~/`) and its arguments. It runs outside, as you, with the notice as JSON on its stdin."
        ),
    ]
);

const SLACK: Key = Key {
    name: "slack",
    path: "notify.slack",
    doc: "A Slack channel, by an incoming webhook.",
    shape: Shape::Section {
        short: None,
        keys: &[leaf!(
            "webhook",
            "notify.slack.webhook",
            Kind::Reference,
            Order::Person,
            "env:SLACK_WEBHOOK_URL",
            None,
            "Where the webhook's URL is, which is a secret: `env:NAME` or `file:PATH`."
        )],
    },
    example: "",
    option: None,
};

const LINEAR: Key = Key {
    name: "linear",
    path: "notify.linear",
    doc: "An issue in Linear.",
    shape: Shape::Section {
        short: None,
        keys: &[
            leaf!(
                "api_key",
                "notify.linear.api_key",
                Kind::Reference,
                Order::Person,
                "env:LINEAR_API_KEY",
                None,
                "Where the API key is: `env:NAME` or `file:PATH`."
            ),
            leaf!(
                "team",
                "notify.linear.team",
                Kind::Text,
                Order::Person,
                "9cfb482a-81e3-4154-b5b9-2c805e70a02d",
                None,
                "The id of the team that gets the issue."
            ),
            leaf!(
                "url",
                "notify.linear.url",
                Kind::Address,
                Order::Person,
                "https://api.linear.app/graphql",
                None,
                "The GraphQL endpoint; Linear's own unless set."
            ),
        ],
    },
    example: "",
    option: None,
};

const WEBHOOK: Key = Key {
    name: "webhook",
    path: "notify.webhook",
    doc: "Any server that takes the notice as JSON by POST.",
    shape: Shape::Section {
        short: None,
        keys: &[
            leaf!(
                "url",
                "notify.webhook.url",
                Kind::Address,
                Order::Person,
                "https://hooks.example.com/shieldrun",
                None,
                "Its URL; one that is itself a secret by `env:NAME` or `file:PATH`."
            ),
            leaf!(
                "authorization",
                "notify.webhook.authorization",
                Kind::Reference,
                Order::Person,
                "file:~/.config/shieldrun/webhook-authorization",
                None,
                "Where the value of the `Authorization` header is: `env:NAME` or `file:PATH`."
            ),
        ],
    },
    example: "",
    option: None,
};
