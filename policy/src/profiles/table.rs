//! The agents, one entry each. Adding one is an entry here.
//!
//! What an entry may show is settings, and what it may keep is data: a file that the agent takes commands
//! from (hooks, MCP servers, plugins) is never kept, because it would run on the user's machine without
//! anybody having seen it. Sessions that lie together for all projects are not kept either.

use super::{Credential, Key, Profile, Switch};

const ANTHROPIC: &str = "api.anthropic.com";
const OPENAI: &str = "api.openai.com";
const GEMINI: &str = "generativelanguage.googleapis.com";
const OPENROUTER: &str = "openrouter.ai";

const ANTHROPIC_KEY: Key = Key { variable: "ANTHROPIC_API_KEY", hosts: &[ANTHROPIC] };
const OPENAI_KEY: Key = Key { variable: "OPENAI_API_KEY", hosts: &[OPENAI] };
const GEMINI_KEY: Key = Key { variable: "GEMINI_API_KEY", hosts: &[GEMINI] };
const GOOGLE_KEY: Key = Key { variable: "GOOGLE_API_KEY", hosts: &[GEMINI, "aiplatform.googleapis.com"] };
const OPENROUTER_KEY: Key = Key { variable: "OPENROUTER_API_KEY", hosts: &[OPENROUTER] };

/// Every agent that is known, in the order in which people see them.
pub const PROFILES: &[Profile] = &[
    Profile {
        name: "claude",
        title: "Claude Code",
        commands: &[],
        packages: &["@anthropic-ai/claude-code"],
        hosts: &[ANTHROPIC, "platform.claude.com", "console.anthropic.com", "claude.ai"],
        keys: &[
            ANTHROPIC_KEY,
            Key { variable: "ANTHROPIC_AUTH_TOKEN", hosts: &[ANTHROPIC] },
            Key { variable: "CLAUDE_CODE_OAUTH_TOKEN", hosts: &[ANTHROPIC] },
        ],
        base_urls: &["ANTHROPIC_BASE_URL"],
        credentials: &[Credential {
            path: "~/.claude/.credentials.json",
            fields: &["claudeAiOauth.accessToken", "claudeAiOauth.refreshToken"],
            hosts: &[ANTHROPIC, "platform.claude.com", "console.anthropic.com", "claude.ai"],
        }],
        visible: &[
            "~/.claude.json",
            "~/.claude/settings.json",
            "~/.claude/CLAUDE.md",
            "~/.claude/agents",
            "~/.claude/commands",
            "~/.claude/skills",
        ],
        persist: &["~/.claude/projects/{workspace}"],
        // Without it the agent refuses to work unattended as root, which user namespaces make everybody.
        switches: &[Switch { variable: "IS_SANDBOX", value: "1" }],
    },
    Profile {
        name: "codex",
        title: "OpenAI Codex",
        commands: &[],
        packages: &["@openai/codex"],
        hosts: &[OPENAI, "chatgpt.com", "auth.openai.com"],
        keys: &[OPENAI_KEY, Key { variable: "CODEX_API_KEY", hosts: &[OPENAI] }],
        base_urls: &["OPENAI_BASE_URL"],
        credentials: &[Credential {
            path: "~/.codex/auth.json",
            fields: &["OPENAI_API_KEY", "tokens.id_token", "tokens.access_token", "tokens.refresh_token"],
            hosts: &[OPENAI, "chatgpt.com", "auth.openai.com"],
        }],
        visible: &["~/.codex/config.toml", "~/.codex/AGENTS.md", "~/.codex/prompts", "~/.codex/skills"],
        persist: &[],
        switches: &[],
    },
    Profile {
        name: "gemini",
        title: "Gemini CLI",
        commands: &[],
        packages: &["@google/gemini-cli"],
        hosts: &[GEMINI, "cloudcode-pa.googleapis.com", "oauth2.googleapis.com", "aiplatform.googleapis.com"],
        keys: &[GEMINI_KEY, GOOGLE_KEY],
        base_urls: &["GOOGLE_GEMINI_BASE_URL", "GOOGLE_VERTEX_BASE_URL"],
        credentials: &[Credential {
            path: "~/.gemini/oauth_creds.json",
            fields: &["access_token", "refresh_token", "id_token"],
            hosts: &["cloudcode-pa.googleapis.com", "oauth2.googleapis.com"],
        }],
        visible: &["~/.gemini/settings.json", "~/.gemini/GEMINI.md", "~/.gemini/commands"],
        persist: &[],
        switches: &[],
    },
    Profile {
        name: "opencode",
        title: "OpenCode",
        commands: &[],
        packages: &["opencode-ai"],
        hosts: &[ANTHROPIC, OPENAI, GEMINI, OPENROUTER, "opencode.ai", "models.dev"],
        keys: &[
            ANTHROPIC_KEY,
            OPENAI_KEY,
            GEMINI_KEY,
            OPENROUTER_KEY,
            Key { variable: "OPENCODE_API_KEY", hosts: &["opencode.ai"] },
        ],
        base_urls: &[],
        credentials: &[Credential {
            path: "~/.local/share/opencode/auth.json",
            fields: &["*.key", "*.access", "*.refresh"],
            hosts: &[ANTHROPIC, OPENAI, GEMINI, OPENROUTER, "opencode.ai"],
        }],
        visible: &[
            "~/.config/opencode/opencode.json",
            "~/.config/opencode/AGENTS.md",
            "~/.config/opencode/agent",
            "~/.config/opencode/command",
        ],
        persist: &[],
        switches: &[],
    },
    Profile {
        name: "qwen",
        title: "Qwen Code",
        commands: &[],
        packages: &["@qwen-code/qwen-code"],
        hosts: &[
            "dashscope.aliyuncs.com",
            "dashscope-intl.aliyuncs.com",
            "portal.qwen.ai",
            "chat.qwen.ai",
            OPENAI,
        ],
        keys: &[
            // The agent speaks OpenAI's protocol to Qwen's hosts under this name.
            Key {
                variable: "OPENAI_API_KEY",
                hosts: &["dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com", OPENAI],
            },
            Key {
                variable: "DASHSCOPE_API_KEY",
                hosts: &["dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com"],
            },
        ],
        base_urls: &["OPENAI_BASE_URL"],
        credentials: &[Credential {
            path: "~/.qwen/oauth_creds.json",
            fields: &["access_token", "refresh_token"],
            hosts: &["portal.qwen.ai", "chat.qwen.ai"],
        }],
        visible: &["~/.qwen/settings.json", "~/.qwen/QWEN.md", "~/.qwen/commands"],
        persist: &[],
        switches: &[],
    },
    Profile {
        name: "copilot",
        title: "GitHub Copilot CLI",
        commands: &[],
        packages: &["@github/copilot"],
        hosts: &["api.githubcopilot.com", "*.githubcopilot.com", "api.github.com", "github.com"],
        keys: &[
            Key {
                variable: "COPILOT_GITHUB_TOKEN",
                hosts: &["api.github.com", "github.com", "*.githubcopilot.com"],
            },
            Key { variable: "GH_TOKEN", hosts: &["api.github.com", "github.com", "*.githubcopilot.com"] },
            Key { variable: "GITHUB_TOKEN", hosts: &["api.github.com", "github.com", "*.githubcopilot.com"] },
        ],
        base_urls: &[],
        credentials: &[Credential {
            path: "~/.copilot/config.json",
            fields: &["copilot_tokens.*"],
            hosts: &["api.github.com", "github.com", "*.githubcopilot.com"],
        }],
        visible: &["~/.copilot/settings.json", "~/.copilot/agents", "~/.copilot/skills"],
        persist: &[],
        switches: &[],
    },
    Profile {
        name: "cline",
        title: "Cline",
        commands: &[],
        packages: &["cline"],
        hosts: &["api.cline.bot", "app.cline.bot", ANTHROPIC, OPENAI, GEMINI, OPENROUTER],
        keys: &[
            Key { variable: "CLINE_API_KEY", hosts: &["api.cline.bot"] },
            ANTHROPIC_KEY,
            OPENAI_KEY,
            GEMINI_KEY,
            OPENROUTER_KEY,
        ],
        base_urls: &[],
        credentials: &[Credential {
            path: "~/.cline/data/settings/providers.json",
            fields: &["providers.*.settings.apiKey", "providers.*.settings.auth.*"],
            hosts: &["api.cline.bot", ANTHROPIC, OPENAI, GEMINI, OPENROUTER],
        }],
        visible: &["~/.cline/data/settings/global-settings.json", "~/.cline/rules", "~/.cline/skills"],
        persist: &[],
        switches: &[],
    },
    Profile {
        name: "aider",
        title: "aider",
        commands: &[],
        packages: &["aider-chat", "aider"],
        hosts: &[OPENAI, ANTHROPIC, GEMINI, OPENROUTER, "api.deepseek.com"],
        keys: &[
            OPENAI_KEY,
            ANTHROPIC_KEY,
            GEMINI_KEY,
            OPENROUTER_KEY,
            Key { variable: "DEEPSEEK_API_KEY", hosts: &["api.deepseek.com"] },
        ],
        base_urls: &["OPENAI_API_BASE", "ANTHROPIC_API_BASE"],
        credentials: &[Credential {
            path: "~/.aider/oauth-keys.env",
            fields: &["OPENROUTER_API_KEY"],
            hosts: &[OPENROUTER],
        }],
        visible: &["~/.aider.conf.yml", "~/.aider.model.settings.yml", "~/.aider.model.metadata.json"],
        persist: &[],
        switches: &[],
    },
    Profile {
        name: "mini-swe-agent",
        title: "mini-SWE-agent",
        commands: &["mini"],
        packages: &["mini-swe-agent", "minisweagent"],
        hosts: &[OPENAI, ANTHROPIC, GEMINI, OPENROUTER],
        keys: &[OPENAI_KEY, ANTHROPIC_KEY, GEMINI_KEY, OPENROUTER_KEY],
        base_urls: &["OPENAI_API_BASE", "ANTHROPIC_API_BASE"],
        credentials: &[Credential {
            path: "~/.config/mini-swe-agent/.env",
            fields: &["*_API_KEY"],
            hosts: &[OPENAI, ANTHROPIC, GEMINI, OPENROUTER],
        }],
        visible: &[],
        persist: &[],
        switches: &[],
    },
    Profile {
        name: "goose",
        title: "goose",
        commands: &[],
        packages: &[],
        hosts: &[OPENAI, ANTHROPIC, GEMINI, "aiplatform.googleapis.com", OPENROUTER],
        keys: &[OPENAI_KEY, ANTHROPIC_KEY, GOOGLE_KEY, OPENROUTER_KEY],
        base_urls: &["OPENAI_HOST", "ANTHROPIC_HOST"],
        credentials: &[Credential {
            path: "~/.config/goose/secrets.yaml",
            fields: &["*"],
            hosts: &[OPENAI, ANTHROPIC, GEMINI, OPENROUTER],
        }],
        visible: &[
            "~/.config/goose/config.yaml",
            "~/.config/goose/permission.yaml",
            "~/.config/goose/prompts",
        ],
        persist: &[],
        // There is no keyring inside: without this it waits for one.
        switches: &[Switch { variable: "GOOSE_DISABLE_KEYRING", value: "1" }],
    },
    Profile {
        name: "cursor-agent",
        title: "Cursor CLI",
        commands: &[],
        packages: &[],
        hosts: &["*.cursor.sh", "*.cursorapi.com"],
        keys: &[Key { variable: "CURSOR_API_KEY", hosts: &["*.cursor.sh"] }],
        base_urls: &[],
        credentials: &[Credential {
            path: "~/.config/cursor/auth.json",
            fields: &["accessToken", "refreshToken", "apiKey"],
            hosts: &["*.cursor.sh"],
        }],
        visible: &["~/.cursor/cli-config.json", "~/.config/cursor/cli-config.json"],
        persist: &[],
        switches: &[],
    },
    Profile {
        name: "amp",
        title: "Amp",
        commands: &[],
        packages: &["@sourcegraph/amp"],
        hosts: &["ampcode.com", "*.ampcode.com"],
        keys: &[Key { variable: "AMP_API_KEY", hosts: &["ampcode.com"] }],
        base_urls: &["AMP_URL"],
        credentials: &[Credential {
            path: "~/.local/share/amp/secrets.json",
            fields: &["*"],
            hosts: &["ampcode.com"],
        }],
        visible: &["~/.config/amp/settings.json", "~/.config/amp/AGENTS.md"],
        persist: &[],
        switches: &[],
    },
];
