//! The agents, one entry each. Adding one is an entry here.
//!
//! What an entry may show is settings, and what it may keep is data: a file that the agent takes commands
//! from (hooks, MCP servers, plugins) is never kept, because it would run on the user's machine without
//! anybody having seen it. Sessions that lie together for all projects are not kept either.

use super::{Login, Profile, Switch, Token};

const ANTHROPIC: &str = "api.anthropic.com";
const OPENAI: &str = "api.openai.com";
const GEMINI: &str = "generativelanguage.googleapis.com";
const OPENROUTER: &str = "openrouter.ai";

const ANTHROPIC_KEY: Token = Token { name: "ANTHROPIC_API_KEY", hosts: &[ANTHROPIC] };
const OPENAI_KEY: Token = Token { name: "OPENAI_API_KEY", hosts: &[OPENAI] };
const GEMINI_KEY: Token = Token { name: "GEMINI_API_KEY", hosts: &[GEMINI] };
const DEEPSEEK_KEY: Token = Token { name: "DEEPSEEK_API_KEY", hosts: &["api.deepseek.com"] };
const GOOGLE_KEY: Token = Token { name: "GOOGLE_API_KEY", hosts: &[GEMINI, "aiplatform.googleapis.com"] };
const OPENROUTER_KEY: Token = Token { name: "OPENROUTER_API_KEY", hosts: &[OPENROUTER] };

/// Where Claude's own accounts are.
const CLAUDE: &[&str] = &[ANTHROPIC, "platform.claude.com", "console.anthropic.com", "claude.ai"];
/// Where ChatGPT's accounts are.
const CHATGPT: &[&str] = &["chatgpt.com", "auth.openai.com", OPENAI];
/// Where accounts of Google's code assistant are.
const CODE_ASSIST: &[&str] = &["cloudcode-pa.googleapis.com", "oauth2.googleapis.com"];
/// Where Qwen's models are.
const DASHSCOPE: &[&str] = &["dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com"];
/// Where Copilot is, and the account that it belongs to.
const GITHUB: &[&str] = &["api.github.com", "github.com", "*.githubcopilot.com"];

/// Every agent that is known, in the order in which people see them.
pub const PROFILES: &[Profile] = &[
    Profile {
        name: "claude",
        title: "Claude Code",
        commands: &[],
        packages: &["@anthropic-ai/claude-code"],
        hosts: CLAUDE,
        keys: &[
            ANTHROPIC_KEY,
            Token { name: "ANTHROPIC_AUTH_TOKEN", hosts: &[ANTHROPIC] },
            Token { name: "CLAUDE_CODE_OAUTH_TOKEN", hosts: &[ANTHROPIC] },
        ],
        logins: &[Login {
            path: "~/.claude/.credentials.json",
            tokens: &[
                Token { name: "claudeAiOauth.accessToken", hosts: CLAUDE },
                Token { name: "claudeAiOauth.refreshToken", hosts: CLAUDE },
            ],
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
        // Without it the agent refuses to work unattended where the user is root.
        switches: &[Switch { variable: "IS_SANDBOX", value: "1" }],
        without_its_sandbox: None,
    },
    Profile {
        name: "codex",
        title: "OpenAI Codex",
        commands: &[],
        packages: &["@openai/codex"],
        hosts: CHATGPT,
        keys: &[OPENAI_KEY, Token { name: "CODEX_API_KEY", hosts: &[OPENAI] }],
        logins: &[Login {
            path: "~/.codex/auth.json",
            tokens: &[
                OPENAI_KEY,
                Token { name: "tokens.id_token", hosts: CHATGPT },
                Token { name: "tokens.access_token", hosts: CHATGPT },
                Token { name: "tokens.refresh_token", hosts: CHATGPT },
            ],
        }],
        visible: &["~/.codex/config.toml", "~/.codex/AGENTS.md", "~/.codex/prompts", "~/.codex/skills"],
        persist: &[],
        switches: &[],
        without_its_sandbox: Some("--sandbox danger-full-access"),
    },
    Profile {
        name: "gemini",
        title: "Gemini CLI",
        commands: &[],
        packages: &["@google/gemini-cli"],
        hosts: &[GEMINI, "cloudcode-pa.googleapis.com", "oauth2.googleapis.com", "aiplatform.googleapis.com"],
        keys: &[GEMINI_KEY, GOOGLE_KEY],
        logins: &[Login {
            path: "~/.gemini/oauth_creds.json",
            tokens: &[
                Token { name: "access_token", hosts: CODE_ASSIST },
                Token { name: "refresh_token", hosts: CODE_ASSIST },
                Token { name: "id_token", hosts: CODE_ASSIST },
            ],
        }],
        visible: &["~/.gemini/settings.json", "~/.gemini/GEMINI.md", "~/.gemini/commands"],
        persist: &[],
        switches: &[],
        without_its_sandbox: None,
    },
    Profile {
        name: "opencode",
        title: "OpenCode",
        commands: &[],
        packages: &["opencode-ai"],
        hosts: &[
            ANTHROPIC,
            OPENAI,
            GEMINI,
            OPENROUTER,
            "chatgpt.com",
            "auth.openai.com",
            "opencode.ai",
            "models.dev",
        ],
        keys: &[
            ANTHROPIC_KEY,
            OPENAI_KEY,
            GEMINI_KEY,
            OPENROUTER_KEY,
            Token { name: "OPENCODE_API_KEY", hosts: &["opencode.ai"] },
        ],
        logins: &[Login {
            path: "~/.local/share/opencode/auth.json",
            tokens: &[
                Token { name: "anthropic.*", hosts: &[ANTHROPIC] },
                Token { name: "openai.*", hosts: CHATGPT },
                Token { name: "google.*", hosts: &[GEMINI] },
                Token { name: "openrouter.*", hosts: &[OPENROUTER] },
                Token { name: "opencode.*", hosts: &["opencode.ai"] },
            ],
        }],
        visible: &[
            "~/.config/opencode/opencode.json",
            "~/.config/opencode/AGENTS.md",
            "~/.config/opencode/agent",
            "~/.config/opencode/command",
        ],
        persist: &[],
        switches: &[],
        without_its_sandbox: None,
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
            // The agent speaks OpenAI's protocol to Qwen's hosts as well, with a key of the same name. Which of the two
            // a key is for, the user says: `secrets.bindings`.
            OPENAI_KEY,
            Token { name: "DASHSCOPE_API_KEY", hosts: DASHSCOPE },
        ],
        logins: &[Login {
            path: "~/.qwen/oauth_creds.json",
            tokens: &[
                Token { name: "access_token", hosts: &["portal.qwen.ai", "chat.qwen.ai"] },
                Token { name: "refresh_token", hosts: &["portal.qwen.ai", "chat.qwen.ai"] },
            ],
        }],
        visible: &["~/.qwen/settings.json", "~/.qwen/QWEN.md", "~/.qwen/commands"],
        persist: &[],
        switches: &[],
        without_its_sandbox: None,
    },
    Profile {
        name: "copilot",
        title: "GitHub Copilot CLI",
        commands: &[],
        packages: &["@github/copilot"],
        hosts: GITHUB,
        keys: &[
            Token { name: "COPILOT_GITHUB_TOKEN", hosts: GITHUB },
            Token { name: "GH_TOKEN", hosts: GITHUB },
            Token { name: "GITHUB_TOKEN", hosts: GITHUB },
        ],
        logins: &[Login {
            path: "~/.copilot/config.json",
            tokens: &[Token { name: "copilot_tokens.*", hosts: GITHUB }],
        }],
        visible: &["~/.copilot/settings.json", "~/.copilot/agents", "~/.copilot/skills"],
        persist: &[],
        switches: &[],
        without_its_sandbox: None,
    },
    Profile {
        name: "cline",
        title: "Cline",
        commands: &[],
        packages: &["cline"],
        hosts: &["api.cline.bot", "app.cline.bot", ANTHROPIC, OPENAI, GEMINI, OPENROUTER],
        keys: &[
            Token { name: "CLINE_API_KEY", hosts: &["api.cline.bot"] },
            ANTHROPIC_KEY,
            OPENAI_KEY,
            GEMINI_KEY,
            OPENROUTER_KEY,
        ],
        logins: &[Login {
            path: "~/.cline/data/settings/providers.json",
            tokens: &[
                Token { name: "providers.cline.*", hosts: &["api.cline.bot"] },
                Token { name: "providers.anthropic.*", hosts: &[ANTHROPIC] },
                Token { name: "providers.openai-native.*", hosts: &[OPENAI] },
                Token { name: "providers.gemini.*", hosts: &[GEMINI] },
                Token { name: "providers.openrouter.*", hosts: &[OPENROUTER] },
            ],
        }],
        visible: &["~/.cline/data/settings/global-settings.json", "~/.cline/rules", "~/.cline/skills"],
        persist: &[],
        switches: &[],
        without_its_sandbox: None,
    },
    Profile {
        name: "aider",
        title: "aider",
        commands: &[],
        packages: &["aider-chat", "aider"],
        hosts: &[OPENAI, ANTHROPIC, GEMINI, OPENROUTER, "api.deepseek.com"],
        keys: &[OPENAI_KEY, ANTHROPIC_KEY, GEMINI_KEY, OPENROUTER_KEY, DEEPSEEK_KEY],
        logins: &[Login {
            path: "~/.aider/oauth-keys.env",
            tokens: &[Token { name: "OPENROUTER_API_KEY", hosts: &[OPENROUTER] }],
        }],
        visible: &["~/.aider.conf.yml", "~/.aider.model.settings.yml", "~/.aider.model.metadata.json"],
        persist: &[],
        switches: &[],
        without_its_sandbox: None,
    },
    Profile {
        name: "mini-swe-agent",
        title: "mini-SWE-agent",
        commands: &["mini"],
        packages: &["mini-swe-agent", "minisweagent"],
        hosts: &[OPENAI, ANTHROPIC, GEMINI, OPENROUTER],
        keys: &[OPENAI_KEY, ANTHROPIC_KEY, GEMINI_KEY, OPENROUTER_KEY],
        logins: &[Login {
            path: "~/.config/mini-swe-agent/.env",
            tokens: &[OPENAI_KEY, ANTHROPIC_KEY, GEMINI_KEY, OPENROUTER_KEY],
        }],
        visible: &[],
        persist: &[],
        switches: &[],
        without_its_sandbox: None,
    },
    Profile {
        name: "goose",
        title: "goose",
        commands: &[],
        packages: &[],
        hosts: &[OPENAI, ANTHROPIC, GEMINI, "aiplatform.googleapis.com", OPENROUTER],
        keys: &[OPENAI_KEY, ANTHROPIC_KEY, GOOGLE_KEY, OPENROUTER_KEY],
        logins: &[Login {
            path: "~/.config/goose/secrets.yaml",
            tokens: &[OPENAI_KEY, ANTHROPIC_KEY, GOOGLE_KEY, OPENROUTER_KEY],
        }],
        visible: &[
            "~/.config/goose/config.yaml",
            "~/.config/goose/permission.yaml",
            "~/.config/goose/prompts",
        ],
        persist: &[],
        // There is no keyring inside: without this it waits for one.
        switches: &[Switch { variable: "GOOSE_DISABLE_KEYRING", value: "1" }],
        without_its_sandbox: None,
    },
    Profile {
        name: "cursor-agent",
        title: "Cursor CLI",
        commands: &[],
        packages: &[],
        hosts: &["*.cursor.sh", "*.cursorapi.com"],
        keys: &[Token { name: "CURSOR_API_KEY", hosts: &["*.cursor.sh"] }],
        logins: &[Login {
            path: "~/.config/cursor/auth.json",
            tokens: &[
                Token { name: "accessToken", hosts: &["*.cursor.sh"] },
                Token { name: "refreshToken", hosts: &["*.cursor.sh"] },
                Token { name: "apiKey", hosts: &["*.cursor.sh"] },
            ],
        }],
        visible: &["~/.cursor/cli-config.json", "~/.config/cursor/cli-config.json"],
        persist: &[],
        switches: &[],
        without_its_sandbox: None,
    },
    Profile {
        name: "amp",
        title: "Amp",
        commands: &[],
        packages: &["@sourcegraph/amp"],
        hosts: &["ampcode.com", "*.ampcode.com"],
        keys: &[Token { name: "AMP_API_KEY", hosts: &["ampcode.com"] }],
        logins: &[Login {
            path: "~/.local/share/amp/secrets.json",
            tokens: &[Token { name: "*", hosts: &["ampcode.com"] }],
        }],
        visible: &["~/.config/amp/settings.json", "~/.config/amp/AGENTS.md"],
        persist: &[],
        switches: &[],
        without_its_sandbox: None,
    },
];
