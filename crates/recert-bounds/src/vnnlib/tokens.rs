//! The words and parentheses of a property file, with the lines that they are on.

use crate::error::{Error, ErrorKind, Result};

/// A parenthesis or a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Open,
    Close,
    Word(&'a str),
}

/// The tokens of a text, read one by one.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    rest: &'a str,
    line: usize,
    /// The next token, where it was looked at already.
    peeked: Option<Token<'a>>,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            // A byte order mark, which editors of some systems write.
            rest: text.strip_prefix('\u{feff}').unwrap_or(text),
            line: 1,
            peeked: None,
        }
    }

    /// The next token, or `None` at the end.
    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        self.peeked.take().or_else(|| self.read())
    }

    /// The next token, which stays the next one.
    pub(super) fn peek(&mut self) -> Option<Token<'a>> {
        if self.peeked.is_none() {
            self.peeked = self.read();
        }
        self.peeked
    }

    /// The next token, which has to be a word; `what` says which.
    pub(super) fn word(&mut self, what: &str) -> Result<&'a str> {
        match self.next() {
            Some(Token::Word(word)) => Ok(word),
            other => Err(self.unexpected(other, what)),
        }
    }

    /// The next token, which has to be this one.
    pub(super) fn expect(&mut self, token: Token<'_>) -> Result<()> {
        match self.next() {
            Some(found) if found == token => Ok(()),
            other => Err(self.unexpected(other, &token.name())),
        }
    }

    /// An error at the line of the last token.
    pub(super) fn error(&self, message: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::Syntax, format!("line {}: {message}", self.line))
    }

    pub(super) fn unexpected(&self, found: Option<Token<'_>>, expected: &str) -> Error {
        let found = found.map_or_else(|| "the end of the file".to_owned(), Token::name);
        self.error(format_args!("expected {expected}, found {found}"))
    }

    fn read(&mut self) -> Option<Token<'a>> {
        loop {
            let first = self.rest.chars().next()?;
            if first == '\n' {
                self.line += 1;
            }
            if first.is_whitespace() {
                self.rest = &self.rest[first.len_utf8()..];
                continue;
            }
            if first == ';' {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.rest = &self.rest[end..];
                continue;
            }
            let (token, length) = match first {
                '(' => (Token::Open, 1),
                ')' => (Token::Close, 1),
                _ => {
                    let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ';');
                    let end = self.rest.find(ends).unwrap_or(self.rest.len());
                    (Token::Word(&self.rest[..end]), end)
                }
            };
            self.rest = &self.rest[length..];
            return Some(token);
        }
    }
}

impl Token<'_> {
    fn name(self) -> String {
        match self {
            Token::Open => "`(`".to_owned(),
            Token::Close => "`)`".to_owned(),
            Token::Word(word) => format!("`{}`", shortened(word)),
        }
    }
}

/// A word as a message quotes it: no more than its beginning.
pub(super) fn shortened(word: &str) -> String {
    const LONGEST: usize = 40;
    match word.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}..", &word[..end]),
        None => word.to_owned(),
    }
}
