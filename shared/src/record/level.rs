//! How bad it is: six levels, and the words that other loggers use for them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The level of a log. Ordered: `Trace` is least. The number is what Postgres holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[repr(i16)]
pub enum Level {
    /// Finer than debugging.
    Trace = 1,
    /// For developers.
    Debug = 2,
    /// What goes as it should.
    Info = 3,
    /// What may become an error.
    Warn = 4,
    /// What failed.
    Error = 5,
    /// What ended the program.
    Fatal = 6,
}

impl Level {
    /// All of them, least first.
    pub const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// Reads a level or one of the usual words for it, in any case: those of syslog (RFC 5424), Python's logging,
    /// java.util.logging, log4j, Winston, zap and Rust's tracing. `None` for any other word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        const WORDS: [(&str, Level); 31] = [
            ("info", Level::Info),
            ("error", Level::Error),
            ("warn", Level::Warn),
            ("debug", Level::Debug),
            ("warning", Level::Warn),
            ("trace", Level::Trace),
            ("fatal", Level::Fatal),
            ("critical", Level::Fatal),
            ("information", Level::Info),
            ("informational", Level::Info),
            ("notice", Level::Info),
            ("audit", Level::Info),
            ("log", Level::Info),
            ("http", Level::Info),
            ("config", Level::Info),
            ("err", Level::Error),
            ("severe", Level::Error),
            ("exception", Level::Error),
            ("crit", Level::Fatal),
            ("emerg", Level::Fatal),
            ("emergency", Level::Fatal),
            ("alert", Level::Fatal),
            ("panic", Level::Fatal),
            ("dpanic", Level::Fatal),
            ("verbose", Level::Debug),
            ("fine", Level::Debug),
            ("silly", Level::Trace),
            ("finer", Level::Trace),
            ("finest", Level::Trace),
            ("all", Level::Trace),
            ("default", Level::Info),
        ];
        let word = text.trim();
        WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, level)| *level)
    }

    /// The level that Postgres holds as this number.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|level| *level as i16 == number)
    }

    /// The level's name, in capitals.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_read_by_its_own_name_and_number() {
        for level in Level::ALL {
            assert_eq!(Level::parse(level.as_str()), Some(level));
            assert_eq!(Level::from_number(level as i16), Some(level));
        }
    }

    #[test]
    fn synonyms_in_any_case_and_nothing_else() {
        assert_eq!(Level::parse(" Warning "), Some(Level::Warn));
        assert_eq!(Level::parse("CRITICAL"), Some(Level::Fatal));
        assert_eq!(Level::parse("err"), Some(Level::Error));
        assert_eq!(Level::parse("banana"), None);
    }
}
