//! The parentheses and words of a file.

/// A word, or what is in parentheses.
#[derive(Debug, PartialEq)]
pub(super) enum Node<'a> {
    Word(&'a str),
    List(Vec<Node<'a>>),
}

/// How deep parentheses may be nested.
const DEEPEST: usize = 64;

/// The nodes of a text, where `;` begins a comment.
pub(super) fn nodes(text: &str) -> Result<Vec<Node<'_>>, String> {
    let mut open: Vec<Vec<Node<'_>>> = vec![Vec::new()];
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.split(';').next().unwrap_or_default();
        for piece in line.split_inclusive(|c: char| c.is_whitespace() || c == '(' || c == ')') {
            let word = piece.trim_end_matches(|c: char| c.is_whitespace() || c == '(' || c == ')');
            let innermost = open.last_mut().ok_or("a `)` closes nothing")?;
            if !word.is_empty() {
                innermost.push(Node::Word(word));
            }
            match piece.chars().next_back() {
                Some('(') if open.len() > DEEPEST => {
                    return Err(format!("parentheses are nested deeper than {DEEPEST}"));
                }
                Some('(') => open.push(Vec::new()),
                Some(')') => {
                    let closed = open.pop().ok_or("a `)` closes nothing")?;
                    let around = open.last_mut().ok_or("a `)` closes nothing")?;
                    around.push(Node::List(closed));
                }
                _ => {}
            }
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(nodes), true) => Ok(nodes),
        _ => Err("a `(` is not closed".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_tree() {
        let word = |word| Node::Word(word);
        let list = |nodes| Node::List(nodes);
        let text = "; first\n(a(b c)\n\td) e ; (f";
        let inner = list(vec![word("b"), word("c")]);
        let found = nodes(text).unwrap();
        assert_eq!(found, [list(vec![word("a"), inner, word("d")]), word("e")]);
        for text in ["(", ")", "a)", "(()", &"(".repeat(100)] {
            assert!(nodes(text).is_err(), "{text}");
        }
    }
}
