//! A query as text that reads as the same query.

use std::fmt;

use super::{Bound, Condition, Node, Optional, Pattern, Piece, Query, TextField};
use crate::timestamp::{self, UnixMs};

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |nodes: &[Self], with: &str| nodes.iter().map(inner).collect::<Vec<_>>().join(with);
        match self {
            Self::And(all) => f.write_str(&joined(all, " ")),
            Self::Or(any) => f.write_str(&joined(any, " OR ")),
            Self::Not(node) => write!(f, "NOT {}", inner(node)),
            Self::Is(condition) => condition.fmt(f),
        }
    }
}

fn inner(node: &Node) -> String {
    if matches!(node, Node::And(_) | Node::Or(_)) { format!("({node})") } else { node.to_string() }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(field, text) => write!(f, "{}{}", scope(*field), Quoted(text)),
            Self::Wild(field, pattern) => write!(f, "{}{}", scope(*field), Escaped(pattern)),
            Self::Keyword(field, pattern) => write!(f, "{}:{}", field.name(), Value(pattern)),
            Self::Level(least, most) if least == most => write!(f, "level:{}", least.as_str()),
            Self::Level(least, most) => write!(f, "level:[{} TO {}]", least.as_str(), most.as_str()),
            Self::Time(field, from, to) => write!(f, "{}:[{} TO {}}}", field.name(), Moment(*from), Moment(*to)),
            Self::Attribute(path, pattern) => write!(f, "attributes.{}:{}", Path(path), Value(pattern)),
            Self::Number(path, low, high) => {
                let opens = if matches!(low, Bound::Excluding(_)) { '{' } else { '[' };
                let closes = if matches!(high, Bound::Excluding(_)) { '}' } else { ']' };
                write!(f, "attributes.{}:{opens}{low} TO {high}{closes}", Path(path))
            }
            Self::Exists(Optional::FullLog) => f.write_str("full_log:*"),
            Self::Exists(Optional::Language) => f.write_str("language:*"),
            Self::Exists(Optional::TraceId) => f.write_str("trace_id:*"),
            Self::Exists(Optional::SpanId) => f.write_str("span_id:*"),
            Self::Exists(Optional::Attribute(path)) => write!(f, "attributes.{}:*", Path(path)),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("*"),
            Self::Including(number) | Self::Excluding(number) => write!(f, "{number:?}"),
        }
    }
}

fn scope(field: TextField) -> &'static str {
    match field {
        TextField::Any => "",
        TextField::Message => "message:",
        TextField::FullLog => "full_log:",
    }
}

struct Moment(Option<UnixMs>);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(at) => f.write_str(&timestamp::format(at)),
            None => f.write_str("*"),
        }
    }
}

struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// An exact pattern in quotes, any other with escapes: in quotes, `*` and `?` are text.
struct Value<'a>(&'a Pattern);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_text() {
            Some(text) => Quoted(text).fmt(f),
            None => Escaped(self.0).fmt(f),
        }
    }
}

struct Escaped<'a>(&'a Pattern);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in self.0.pieces() {
            match piece {
                Piece::Any => f.write_str("*")?,
                Piece::One => f.write_str("?")?,
                Piece::Text(text) => Path(text).fmt(f)?,
            }
        }
        Ok(())
    }
}

struct Path<'a>(&'a str);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if super::parse::can_be_escaped(c) && !matches!(c, '.' | '_') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        Ok(())
    }
}
