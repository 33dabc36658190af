//! Room `policy`: policies that many tenants want, with blanks to fill in.

use crate::vocabulary::OURS;

/// A policy with blanks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// By which it is asked for.
    pub slug: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// What it does.
    pub description: &'static str,
    /// The blanks, in order.
    pub blanks: &'static [Blank],
    /// The text; `{name}` is a blank.
    text: &'static str,
}

/// What has to be filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blank {
    /// Its name.
    pub name: &'static str,
    /// What belongs there.
    pub description: &'static str,
}

const ROLE: Blank = Blank { name: "role", description: "The slug of a role." };
const CHANNEL: Blank = Blank { name: "channel", description: "The id of a channel account." };

/// All there are.
pub const TEMPLATES: [Template; 5] = [
    Template {
        slug: "own_conversations",
        title: "Own conversations only",
        description: "Who has the role neither sees nor answers conversations that somebody else \
                      looks after; what nobody looks after stays open to all.",
        blanks: &[ROLE],
        text: "@says(\"Somebody else looks after the conversation.\")
forbid (
  principal in MisyBot::Role::\"{role}\",
  action in [
    MisyBot::Action::\"conversation.read\",
    MisyBot::Action::\"conversation.update\",
    MisyBot::Action::\"message.read\",
    MisyBot::Action::\"message.send\"
  ],
  resource is MisyBot::Conversation
)
when { resource has assignee && resource.assignee != principal };
",
    },
    Template {
        slug: "closed_channel",
        title: "Not this channel",
        description: "Who has the role neither sees nor answers what comes in over a channel \
                      account.",
        blanks: &[ROLE, CHANNEL],
        text: "@says(\"The channel is not theirs.\")
forbid (
  principal in MisyBot::Role::\"{role}\",
  action in [
    MisyBot::Action::\"conversation.read\",
    MisyBot::Action::\"conversation.update\",
    MisyBot::Action::\"message.read\",
    MisyBot::Action::\"message.send\"
  ],
  resource is MisyBot::Conversation
)
when { resource.channel == \"{channel}\" };
",
    },
    Template {
        slug: "no_sending_when_closed",
        title: "Closed is closed",
        description: "Who has the role sends nothing in closed conversations.",
        blanks: &[ROLE],
        text: "@says(\"The conversation is closed.\")
forbid (
  principal in MisyBot::Role::\"{role}\",
  action == MisyBot::Action::\"message.send\",
  resource is MisyBot::Conversation
)
when { resource.status == \"closed\" };
",
    },
    Template {
        slug: "read_only",
        title: "Looking only",
        description: "Who has the role changes no conversation and sends nothing.",
        blanks: &[ROLE],
        text: "@says(\"The role only looks.\")
forbid (
  principal in MisyBot::Role::\"{role}\",
  action in [MisyBot::Action::\"conversation.update\", MisyBot::Action::\"message.send\"],
  resource
);
",
    },
    Template {
        slug: "nothing_sensitive",
        title: "Nothing sensitive",
        description: "Who has the role changes nothing that decides who may do what.",
        blanks: &[ROLE],
        text: "@says(\"The role changes nothing that decides who may do what.\")
forbid (
  principal in MisyBot::Role::\"{role}\",
  action in MisyBot::Action::\"sensitive\",
  resource
);
",
    },
];

/// Why a template gives no policy: the blank and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the blank `{blank}` {detail}")]
pub struct Unfilled {
    /// Which blank.
    pub blank: String,
    /// What is wrong.
    pub detail: String,
}

/// A template by slug.
pub fn find(slug: &str) -> Option<&'static Template> {
    TEMPLATES.iter().find(|template| template.slug == slug)
}

impl Template {
    /// The text with its blanks filled. What is filled in is an identifier and nothing else, so it
    /// cannot say more than the template.
    pub fn fill(&self, value_of: impl Fn(&str) -> Option<String>) -> Result<String, Vec<Unfilled>> {
        debug_assert!(self.text.contains(OURS));
        let (mut text, mut faults) = (self.text.to_owned(), Vec::new());
        for blank in self.blanks {
            let value = value_of(blank.name).unwrap_or_default();
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            if value.is_empty() || value.len() > 64 || !value.bytes().all(plain) {
                let detail = "has to be filled with an identifier".to_owned();
                faults.push(Unfilled { blank: blank.name.to_owned(), detail });
            }
            text = text.replace(&format!("{{{}}}", blank.name), &value);
        }
        if faults.is_empty() { Ok(text) } else { Err(faults) }
    }
}
