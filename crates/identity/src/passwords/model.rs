//! Room `identity`: argon2id (RFC 9106) and the rules for new passwords.

use std::fmt;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use data_encoding::BASE64_NOPAD;
use misy_core::crypto;
use misy_core::error::Fault;
use misy_core::{Code, Public, Secret};
use zeroize::Zeroizing;
use zxcvbn::feedback::Feedback;
use zxcvbn::{Score, zxcvbn};

/// Shortest password, in characters (NIST SP 800-63B asks for 15, or 8 with a second factor).
const CHARS_MIN: usize = 12;
/// Longest password, in characters.
pub(crate) const CHARS_MAX: usize = 256;
const TAG_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// What fails around passwords.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too weak, with what would be better.
    #[error("the password is not acceptable")]
    Weak(Fault),
    /// Hashing is as busy as it may be.
    #[error("too many passwords wait to be hashed")]
    Busy,
    /// A stored hash cannot be read: a bug or a foreign hand.
    #[error("a stored password hash is not readable")]
    Corrupt,
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::Weak(_) => Code::Invalid,
            Self::Busy => Code::Unavailable,
            Self::Corrupt => Code::Internal,
        }
    }
    fn faults(&self) -> Vec<Fault> {
        match self {
            Self::Weak(fault) => vec![fault.clone()],
            Self::Busy | Self::Corrupt => Vec::new(),
        }
    }
    fn retry_after_s(&self) -> Option<u32> {
        (*self == Self::Busy).then_some(1)
    }
}

/// Long enough and yet tried first by everybody: from the most frequent leaked passwords of twelve
/// or more characters.
const COMMON: [&str; 24] = [
    "123456789012",
    "1234567890123",
    "123456789123",
    "1234567891011",
    "1q2w3e4r5t6y",
    "1qaz2wsx3edc",
    "abcdefghijkl",
    "administrator",
    "changemeplease",
    "correcthorsebatterystaple",
    "iloveyouforever",
    "letmeinplease",
    "p@ssw0rd1234",
    "passw0rd1234",
    "password1234",
    "password12345",
    "password123456",
    "passwordpassword",
    "q1w2e3r4t5y6",
    "qwerty123456",
    "qwertyuiop12",
    "qwertyuiop123",
    "qwertyuiopasdf",
    "welcome12345",
];

/// Words that a guesser of ours tries first.
const HOUSE_WORDS: [&str; 3] = ["misybot", "misy", "chatbot"];

/// At least 10^8 guesses, by the estimate of
/// [zxcvbn](https://www.usenix.org/conference/usenixsecurity16/technical-sessions/presentation/wheeler),
/// which knows leaked passwords, names, words, dates, keyboards and what people do to them.
const ENOUGH: Score = Score::Three;

/// Checks a new password; `about` are words that its owner is known by, which it may not be.
/// `pointer` names the field in the answer.
pub(crate) fn check(password: &Secret, about: &[&str], pointer: &str) -> Result<(), Error> {
    let weak = |detail: String| Err(Error::Weak(Fault { pointer: pointer.to_owned(), detail }));
    let chars = password.expose().chars().count();
    if chars < CHARS_MIN {
        return weak(format!("must have at least {CHARS_MIN} characters"));
    }
    if chars > CHARS_MAX {
        return weak(format!("must have at most {CHARS_MAX} characters"));
    }
    let lower = Zeroizing::new(password.expose().to_lowercase());
    if COMMON.contains(&lower.as_str()) || about.iter().any(|word| *lower == word.to_lowercase()) {
        return weak("is among the first that anybody would try".to_owned());
    }
    let words = about.iter().flat_map(|it| it.split(|one: char| !one.is_alphanumeric()));
    let known: Vec<&str> = about.iter().copied().chain(words).chain(HOUSE_WORDS).collect();
    let strength = zxcvbn(password.expose(), &known);
    if strength.score() >= ENOUGH {
        return Ok(());
    }
    let warning = strength.feedback().and_then(Feedback::warning);
    let reason = warning.map(|warning| format!(": {warning}")).unwrap_or_default();
    weak(format!("is too easy to guess{reason}").trim_end_matches('.').to_owned())
}

/// What a computation works in; whatever is in it before is written over.
pub(crate) type Memory = Vec<Block>;

/// Salt and cost: what a hash is computed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipe {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: Vec<u8>,
}

impl Recipe {
    /// The present cost (OWASP: 19 MiB, 2 passes, 1 lane).
    ///
    /// The salt follows from the address and a key of the installation. So every password of one
    /// person, one a tenant, is checked by the same single computation, and so is a password for an
    /// address that nobody has: both take the same time because they are the same work.
    pub(crate) fn of_email(key: &crypto::Key, email: &str) -> Self {
        let digest = crypto::hmac_sha256(key.expose(), email.as_bytes());
        Self { memory_kib: 19 * 1024, passes: 2, lanes: 1, salt: digest[..SALT_BYTES].to_vec() }
    }

    fn compute(&self, password: &Secret, memory: &mut Memory) -> Result<[u8; TAG_BYTES], Error> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(TAG_BYTES))
            .map_err(|_| Error::Corrupt)?;
        if memory.len() < params.block_count() {
            memory.resize(params.block_count(), Block::new());
        }
        let mut tag = [0; TAG_BYTES];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(
                password.expose().as_bytes(),
                &self.salt,
                &mut tag,
                memory.as_mut_slice(),
            )
            .map_err(|_| Error::Corrupt)?;
        Ok(tag)
    }
}

/// A password's hash as it is stored, in the
/// [PHC string format](https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    recipe: Recipe,
    tag: [u8; TAG_BYTES],
}

impl Stored {
    /// Hashes a new password. Takes about 16 ms of a core.
    pub(crate) fn new(
        recipe: Recipe,
        password: &Secret,
        memory: &mut Memory,
    ) -> Result<Self, Error> {
        let tag = recipe.compute(password, memory)?;
        Ok(Self { recipe, tag })
    }
}

/// Which of the stored hashes are of this password. Computes at least once, with `usual`, also if
/// nothing is stored, and once more only for a recipe from other times.
pub(crate) fn find_matches(
    password: &Secret,
    usual: Recipe,
    stored: &[Stored],
    memory: &mut Memory,
) -> Result<Vec<usize>, Error> {
    let mut tags = vec![usual.compute(password, memory)?];
    let mut recipes = vec![usual];
    let mut matches = Vec::new();
    for (index, one) in stored.iter().enumerate() {
        let known = recipes.iter().position(|recipe| *recipe == one.recipe);
        let tag = if let Some(at) = known {
            tags[at]
        } else {
            let tag = one.recipe.compute(password, memory)?;
            recipes.push(one.recipe.clone());
            tags.push(tag);
            tag
        };
        if crypto::equal(&tag, &one.tag) {
            matches.push(index);
        }
    }
    Ok(matches)
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Recipe { memory_kib, passes, lanes, salt } = &self.recipe;
        let (salt, tag) = (BASE64_NOPAD.encode(salt), BASE64_NOPAD.encode(&self.tag));
        write!(f, "$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${tag}")
    }
}

impl FromStr for Stored {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        read_phc(text).ok_or(Error::Corrupt)
    }
}

fn read_phc(text: &str) -> Option<Stored> {
    let mut parts = text.strip_prefix("$argon2id$v=19$")?.split('$');
    let (cost, salt, tag) = (parts.next()?, parts.next()?, parts.next()?);
    let mut costs = cost.split(',');
    let mut number = |name: &str| costs.next()?.strip_prefix(name)?.parse::<u32>().ok();
    let (memory_kib, passes, lanes) = (number("m=")?, number("t=")?, number("p=")?);
    let salt = BASE64_NOPAD.decode(salt.as_bytes()).ok()?;
    let tag = BASE64_NOPAD.decode(tag.as_bytes()).ok()?.try_into().ok()?;
    let recipe = Recipe { memory_kib, passes, lanes, salt };
    parts.next().is_none().then_some(Stored { recipe, tag })
}

#[cfg(test)]
mod tests;
