//! Room `policy`: the policies of one tenant in one version, with those of the platform, ready to
//! be asked.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::{Arc, LazyLock, OnceLock};

use cedar_policy::{Effect, Entity, Policy, PolicyId, PolicySet, Request};

use crate::index::{Index, Outcome, Slice};
use crate::plain::{Made, Plain};
use crate::things::{Question, Scene, Thing, TypeName, Value, context, entities};
use crate::vocabulary::{Vocabulary, VocabularyError};

/// How many policies a tenant may have.
pub const POLICIES_MAX: usize = 200;

/// The ids of the platform's policies begin with this, and no tenant's do.
pub const PLATFORM: &str = "platform.";

const PLATFORM_TEXT: &str = include_str!("platform.cedar");

static PLATFORM_POLICIES: LazyLock<Vec<Policy>> = LazyLock::new(|| {
    let set = PolicySet::from_str(PLATFORM_TEXT).expect("the platform's policies are well-formed");
    let named = set.policies().map(|policy| {
        let id = policy.annotation("id").expect("each has an id");
        policy.new_id(PolicyId::new(id))
    });
    named.collect()
});

/// A policy as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// By which decisions name it.
    pub id: String,
    /// What its tenant calls it.
    pub name: String,
    /// What it says, in Cedar.
    pub text: String,
}

/// Why kept policies cannot be used. Nothing is allowed by the rest: one that forbids may be
/// missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// One of them is not read any more.
    #[error("the policy {0} cannot be read")]
    Policy(String),
    /// Two have one id.
    #[error("two policies have one id")]
    Twice,
    /// What the tenant declares is not read any more.
    #[error("the tenant's declarations cannot be read")]
    Vocabulary(#[from] VocabularyError),
}

/// Policies that can be asked.
pub struct Compiled {
    version: i64,
    index: Index,
    vocabulary: Option<Box<Vocabulary>>,
    titles: HashMap<String, Title>,
    whole: OnceLock<PolicySet>,
}

/// What is told of a policy that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title {
    /// What its tenant, or the platform, calls it.
    pub name: String,
    /// Whether it forbids.
    pub forbids: bool,
    /// What it says, in a sentence, if it says so in `@says`.
    pub says: Option<String>,
}

/// What was decided, by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The policies that decided; none if nothing permits it.
    pub policies: Vec<String>,
    /// Policies that could not be evaluated, and why.
    pub errors: Vec<(String, String)>,
    /// The version of the tenant's policies.
    pub version: i64,
}

impl Compiled {
    /// The platform's policies alone.
    pub fn of_platform() -> Arc<Self> {
        static ALONE: LazyLock<Arc<Compiled>> = LazyLock::new(|| {
            Arc::new(Compiled::new(0, &[], None).expect("the platform's policies are well-formed"))
        });
        Arc::clone(&ALONE)
    }

    /// Compiles a tenant's policies, which were checked before, with those of the platform.
    pub fn new(
        version: i64,
        stored: &[Stored],
        declared: Option<&str>,
    ) -> Result<Self, CompileError> {
        let vocabulary = match declared {
            Some(text) => Some(Box::new(Vocabulary::new(Some(text))?)),
            None => None,
        };
        let mut policies = PLATFORM_POLICIES.clone();
        let mut titles: HashMap<String, Title> = policies.iter().map(title).collect();
        for one in stored {
            let broken = || CompileError::Policy(one.id.clone());
            let policy =
                Policy::parse(Some(PolicyId::new(&one.id)), &one.text).map_err(|_| broken())?;
            let (id, mut title) = title(&policy);
            title.name.clone_from(&one.name);
            if titles.insert(id, title).is_some() {
                return Err(CompileError::Twice);
            }
            policies.push(policy);
        }
        let index = match &vocabulary {
            Some(words) => Index::new(policies, &words.actions),
            None => Index::new(policies, &Vocabulary::plain().actions),
        };
        Ok(Self { version, index, vocabulary, titles, whole: OnceLock::new() })
    }

    /// The version of the tenant's policies.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// The words of these policies.
    pub fn vocabulary(&self) -> &Vocabulary {
        match &self.vocabulary {
            Some(words) => words,
            None => Vocabulary::plain(),
        }
    }

    /// What is told of a policy.
    pub fn title(&self, id: &str) -> Option<&Title> {
        self.titles.get(id)
    }

    /// Decides one question.
    pub fn decide(self: &Arc<Self>, question: Question) -> Verdict {
        let Question { principal, action, resource, context } = question;
        let slice = self.index.slice(&action.uid(), resource.kind());
        let asked = Asked { principal, action, context, scene: OnceLock::new() };
        self.verdict(asked.decide(&slice, &resource))
    }

    /// Decides as Cedar does by itself, without the index; for comparison.
    pub fn decide_unsliced(&self, question: Question) -> Verdict {
        let Question { principal, action, resource, context: circumstances } = question;
        let (who, what) = (principal.uid.clone(), resource.uid.clone());
        let request = Request::new(who, action.uid(), what, context(circumstances), None);
        let Ok(request) = request else { return self.verdict(Outcome::NO) };
        let all = self.whole.get_or_init(|| self.index.whole());
        let entities = entities(principal, &action, Some(resource));
        self.verdict(self.index.decide_by(all, &request, &entities))
    }

    fn verdict(&self, outcome: Outcome) -> Verdict {
        let Outcome { allowed, policies, errors } = outcome;
        Verdict { allowed, policies, errors, version: self.version }
    }

    /// Whether a policy permits anything of this kind at all; if not, no question has to be asked.
    pub fn can_permit(&self, action: &Entity, kind: &TypeName) -> bool {
        self.index.slice(&action.uid(), kind).can_permit()
    }

    /// Looks up once what many questions of one kind need: the same one, the same action and
    /// circumstances, and a resource of the same type as the sample.
    pub fn panel(
        self: &Arc<Self>,
        principal: Thing,
        action: &Entity,
        sample: &Thing,
        circumstances: Vec<(String, Value)>,
    ) -> Panel {
        let slice = self.index.slice(&action.uid(), sample.kind());
        let (action, scene) = (action.clone(), OnceLock::new());
        let asked = Asked { principal, action, context: circumstances, scene };
        Panel { compiled: Arc::clone(self), slice, asked }
    }
}

fn title(policy: &Policy) -> (String, Title) {
    let id = policy.id().to_string();
    let says = policy.annotation("says").map(str::to_owned);
    let forbids = policy.effect() == Effect::Forbid;
    (id.clone(), Title { name: id, forbids, says })
}

/// All of a question but what it is about.
struct Asked {
    principal: Thing,
    action: Entity,
    context: Vec<(String, Value)>,
    /// The same as Cedar's evaluator takes it; most questions are answered without.
    scene: OnceLock<Scene>,
}

impl Asked {
    fn decide(&self, slice: &Slice, resource: &Thing) -> Outcome {
        let plain = Plain::new(&self.principal, &self.action, resource, &self.context);
        let ballot = match plain.as_ref().map(|plain| slice.ask(plain)) {
            Some(ballot) if ballot.is_whole() => return ballot.count(),
            ballot => ballot,
        };
        let scene = self
            .scene
            .get_or_init(|| Scene::new(self.principal.clone(), &self.action, self.context.clone()));
        let (request, entities) = scene.about(resource.clone());
        match ballot {
            Some(ballot) => ballot.finish(request, &entities),
            None => slice.decide(&Made { request: &request, entities: &entities }),
        }
    }
}

/// Answers questions of one kind.
pub struct Panel {
    compiled: Arc<Compiled>,
    slice: Arc<Slice>,
    asked: Asked,
}

impl Panel {
    /// The policies that it asks.
    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// Whether a policy of the tenant's own has a say; else the platform's give one answer for all
    /// resources of the tenant.
    pub fn has_own_policies(&self) -> bool {
        self.slice.ids().any(|id| !id.starts_with(PLATFORM))
    }

    /// Decides about one resource.
    pub fn decide(&self, resource: Thing) -> Verdict {
        self.compiled.verdict(self.asked.decide(&self.slice, &resource))
    }
}

impl Verdict {
    /// Why, in a sentence that names the policies.
    pub fn sentence(&self, compiled: &Compiled) -> String {
        if self.policies.is_empty() {
            return "No policy permits it, and no role grants it.".to_owned();
        }
        let titled = self.policies.iter().map(|id| match compiled.title(id) {
            Some(Title { says: Some(says), .. }) => format!("{says} (`{id}`)"),
            Some(title) if title.name != *id => format!("\"{}\" (`{id}`).", title.name),
            _ => format!("`{id}`."),
        });
        let titled: Vec<String> = titled.collect();
        let verb = if self.allowed { "Permitted by" } else { "Forbidden by" };
        let failed = self.errors.iter().filter(|(id, _)| self.policies.contains(id));
        let failed: BTreeMap<&str, &str> =
            failed.map(|(id, why)| (id.as_str(), why.as_str())).collect();
        let mut sentence = format!("{verb}: {}", titled.join(" "));
        for (id, why) in failed {
            let _ = write!(sentence, " `{id}` could not be evaluated, so it denies: {why}.");
        }
        sentence
    }
}
