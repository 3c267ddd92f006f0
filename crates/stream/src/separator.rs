//! Where a message ends: one separator, or the first of several.

use memchr::{memchr, memmem};

/// The separators of one `readuntil`, and where its search goes on.
pub(crate) struct Search<'a> {
    separators: &'a [&'a [u8]],
    shortest: usize,
    longest: usize,
    /// No separator begins before this.
    offset: usize,
}

/// Where the separator is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl<'a> Search<'a> {
    pub(crate) fn new(separators: &'a [&'a [u8]]) -> Self {
        let lengths = separators.iter().map(|separator| separator.len());
        let shortest = lengths.clone().min().expect("there is at least one separator");
        assert!(shortest > 0, "a separator has at least one byte");
        let longest = lengths.max().unwrap_or(shortest);
        Self { separators, shortest, longest, offset: 0 }
    }

    /// The match that ends first, of two such the shorter. `Err`: bytes at the front in which
    /// none begins.
    pub(crate) fn find(&mut self, buffer: &[u8]) -> Result<Match, usize> {
        if buffer.len() < self.offset + self.shortest {
            return Err(self.offset);
        }
        let mut best: Option<Match> = None;
        for separator in self.separators {
            // What ends behind the best match so far could not be better.
            let until = best.as_ref().map_or(buffer.len(), |best| best.end);
            let Some(at) = find(&buffer[self.offset..until], separator) else { continue };
            let start = self.offset + at;
            let end = start + separator.len();
            let better = best.as_ref().is_none_or(|best| (end, best.start) < (best.end, start));
            if better {
                best = Some(Match { start, end });
            }
        }
        best.ok_or_else(|| {
            // A separator may have begun, all but its last byte.
            self.offset = (buffer.len() + 1).saturating_sub(self.longest);
            self.offset
        })
    }
}

fn find(bytes: &[u8], separator: &[u8]) -> Option<usize> {
    match separator {
        // Lines: the search for several bytes is slow to start, and these are short.
        [byte] => memchr(*byte, bytes),
        _ => memmem::find(bytes, separator),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_match_that_ends_first_wins_and_of_two_such_the_shorter() {
        let found = |separators: &[&[u8]], text: &[u8]| {
            Search::new(separators).find(text).map(|found| (found.start, found.end))
        };
        assert_eq!(found(&[b"DEF", b"BCDE"], b"ABCDEFG"), Ok((1, 5)));
        assert_eq!(found(&[b"AB\n", b"\n"], b"AB\n"), Ok((2, 3)));
        assert_eq!(found(&[b"\n", b"AB\n"], b"AB\n"), Ok((2, 3)));
        assert_eq!(found(&[b"long separator", b"x"], b"ab"), Err(0));
    }
}
