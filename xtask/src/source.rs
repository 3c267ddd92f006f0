//! Rust source with comments and literals blanked out, so that rules can look for words in code.
//!
//! A parser would say more, at the price of a parser. What the rules ask ("is there a `todo!`?", "what
//! are the tests called?") needs only to know code from text.

/// The code of a Rust file: comments are spaces, literals are quotes round spaces.
///
/// Line breaks stay, and so do all positions (in characters, not in bytes).
pub(crate) fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' '; // the character before `rest`
    while let Some(c) = rest.chars().next() {
        // An `r` or `b` at the end of a word begins no literal.
        let literal = if is_word(before) && is_word(c) { 0 } else { literal(rest) };
        let comment = comment(rest);
        let (head, tail) = rest.split_at(literal.max(comment).max(c.len_utf8()));
        let last = head.chars().count() - 1;
        code.extend(head.chars().enumerate().map(|(at, c)| match c {
            '\n' => c,
            _ if comment > 0 => ' ',
            _ if literal > 0 && (at == 0 || at == last) => '"',
            _ if literal > 0 => ' ',
            _ => c,
        }));
        before = head.chars().next_back().unwrap_or(c);
        rest = tail;
    }
    code
}

/// Whether `c` can stand inside an identifier or a number.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The names of the functions that carry `#[test]`.
pub(crate) fn tests(code: &str) -> Vec<&str> {
    code.match_indices("#[test]").filter_map(|(at, _)| function_name(&code[at..])).collect()
}

/// The name of the first function in `code`; none where a macro makes it up.
pub(crate) fn function_name(code: &str) -> Option<&str> {
    let at = words(code).find(|&(_, word)| word == "fn")?.0;
    let (name_at, name) = words(&code[at..]).nth(1)?;
    (!code[at..][..name_at].ends_with('$')).then_some(name)
}

/// The words of `code`, each with its position in bytes.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let at = |word: &str| word.as_ptr() as usize - code.as_ptr() as usize;
    let words = code.split(|c: char| !is_word(c)).filter(|word| !word.is_empty());
    words.map(move |word| (at(word), word))
}

/// The lines (from 1) on which a chain of `let` conditions begins: `if let … && …`.
///
/// They are stable since Rust 1.88 only. A condition ends at its `{`; what stands in brackets is not
/// part of the chain.
pub(crate) fn let_chains(code: &str) -> Vec<usize> {
    let keywords = words(code).filter(|&(_, word)| word == "if" || word == "while");
    keywords
        .filter(|&(at, word)| is_let_chain(&code[at + word.len()..]))
        .map(|(at, _)| line_of(code, at))
        .collect()
}

/// The line, from 1, of a position in bytes.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Whether a condition, of which `code` is the beginning, has both a `let` and an `&&` of its own.
fn is_let_chain(code: &str) -> bool {
    let (mut depth, mut has_let, mut has_and) = (0_usize, false, false);
    let mut operand = false; // whether an operand has just ended, so that `&&` must be "and"
    let mut chars = code.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' if depth == 0 => break,
            ')' | ']' => depth -= 1,
            '{' | '}' | ';' | ',' if depth == 0 => break,
            '=' if depth == 0 && code[at..].starts_with("=>") => break,
            '&' if code[at..].starts_with("&&") => {
                chars.next();
                has_and |= depth == 0 && operand;
            }
            _ => {}
        }
        if is_word(c) {
            let word = words(&code[at..]).next().map_or("", |(_, word)| word);
            while chars.peek().is_some_and(|&(_, next)| is_word(next)) {
                chars.next();
            }
            has_let |= depth == 0 && word == "let";
            operand = !["let", "ref", "mut", "box", "return", "in", "as"].contains(&word);
        } else if !c.is_whitespace() {
            operand = ")]?>\"".contains(c);
        }
    }
    has_let && has_and
}

/// The length in bytes of the comment at the beginning of `text`, or 0.
fn comment(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if !text.starts_with("/*") {
        return 0;
    }
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length in bytes of the string or character literal at the beginning of `text`, or 0.
fn literal(text: &str) -> usize {
    let body = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - body.len();
    if prefix > 1 {
        return 0;
    }
    if let Some(raw) = body.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let open = prefix + 1 + hashes + 1;
            let close = format!("\"{}", "#".repeat(hashes));
            return text[open..].find(&close).map_or(text.len(), |at| open + at + close.len());
        }
    }
    match body.chars().next() {
        Some('"') => prefix + quoted(body, '"'),
        Some('\'') if !is_lifetime(body) => prefix + quoted(body, '\''),
        _ => 0,
    }
}

/// The length in bytes of a literal up to its closing quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    text.len()
}

/// Whether `text`, which begins with `'`, is a lifetime or a label, not a character.
fn is_lifetime(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    chars.next().is_some_and(|c| c != '\\') && chars.next() != Some('\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blank_and_positions_stay() {
        let text =
            "a /* x /* y */ z */ b // c\n\"d \\\" e\" f r#\"g \" h\"# 'i' '\\'' j: &'k b\"l\"";
        let code = code(text);
        assert_eq!(code.chars().count(), text.chars().count());
        let words: Vec<&str> = words(&code).map(|(_, word)| word).collect();
        assert_eq!(words, ["a", "b", "f", "j", "k"]);
        assert_eq!(line_of(&code, code.find('f').unwrap()), 2);
    }

    #[test]
    fn words_that_look_like_the_beginning_of_a_literal_are_code() {
        assert_eq!(code("for \"x\" in bar\"\""), "for \" \" in bar\"\"");
        assert_eq!(code("br\"\\\" c r#type"), "\"   \" c r#type");
        assert_eq!(code("'static 'a: loop {}"), "'static 'a: loop {}");
    }

    #[test]
    fn a_literal_or_comment_that_never_ends_reaches_to_the_end() {
        for text in ["a \"b", "a /* b", "a r#\"b\"", "a '\\"] {
            assert_eq!(words(&code(text)).count(), 1, "{text}");
        }
    }

    #[test]
    fn tests_are_the_functions_after_the_attribute() {
        let text =
            "fn helper() {}\n#[test]\n#[should_panic]\nfn a_first_one() {}\n// #[test]\nfn x() {}";
        assert_eq!(tests(&code(text)), ["a_first_one"]);
        assert_eq!(tests("#[test]\nfn $name() {}"), [""; 0]);
    }

    #[test]
    fn a_chain_of_let_conditions_is_found() {
        for text in [
            "if let Some(x) = y && z {",
            "if a && let Some(x) = y {",
            "if a == \" \" && let Some(x) = y {",
            "while let Some(x) = it.next()\n    && x > 1\n{",
            "if let Some(x) = f(|a| { a && b }) && c {",
            "match x { Some(y) if let Some(z) = y && z => 1, _ => 2 }",
        ] {
            assert_eq!(let_chains(text).len(), 1, "{text}");
        }
        assert_eq!(let_chains("\n\nif let A = b? && c {}"), [3]);
    }

    #[test]
    fn ordinary_conditions_are_not_chains() {
        for text in [
            "if a && b { let c = d && e; }",
            "if let Some(x) = &&y {",
            "if let &&x = y {",
            "if let Some(x) = (a && b).then(f) {",
            "let Some(x) = y else { return a && b };",
            "match x { y if a && b => if let Some(z) = y { 1 } else { 2 }, _ => 3 }",
            "if let Some(x) = y { a && b }",
        ] {
            assert_eq!(let_chains(text), [0; 0], "{text}");
        }
    }
}
