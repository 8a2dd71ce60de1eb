//! The ways of looking at logs, each with its instructions.

/// A prompt family. Its text is part of the prompt version, see [`Family::version`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// Faults and attacks alike.
    #[default]
    General,
    /// Attacks first.
    Security,
    /// Slowness and exhaustion first.
    Performance,
}

impl Family {
    /// The name used in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Family::General => "general",
            Family::Security => "security",
            Family::Performance => "performance",
        }
    }

    /// Reads the name; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        [Family::General, Family::Security, Family::Performance].into_iter().find(|f| f.as_str() == text)
    }

    /// Family and version, as they stand in a finding's origin.
    pub fn version(self) -> String {
        format!("{}/{}", self.as_str(), super::PROMPT_VERSION)
    }

    /// The instructions peculiar to it.
    pub const fn text(self) -> &'static str {
        match self {
            Family::General => include_str!("general.txt"),
            Family::Security => include_str!("security.txt"),
            Family::Performance => include_str!("performance.txt"),
        }
    }
}
