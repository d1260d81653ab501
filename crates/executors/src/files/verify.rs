//! Judges a file as it is now by what was asked for and by what was there before.

use steadyhand_core::{
    approval::Operand,
    digest::Digest,
    executor::{Probe, Verdict, Verification},
};

use super::content::Before;

fn judged(verdict: Verdict, detail: String) -> Verification {
    Verification { verdict, evidence: "digest".to_owned(), detail }
}

/// The world can't be asked, for the reason given.
pub(super) fn unverifiable(why: &str) -> Verification {
    judged(Verdict::Unverifiable, format!("the file can't be looked at: {why}"))
}

/// Judges a read whose content has `digest`.
pub(super) fn read(digest: &Digest, seen: Result<&Operand, String>) -> Verification {
    match seen {
        Err(why) => unverifiable(&why),
        Ok(now) if now.digest.as_ref() == Some(digest) => {
            judged(Verdict::Confirmed, format!("`{}` still holds what was read", now.path))
        }
        Ok(now) => judged(Verdict::Partial, format!("`{}` was changed while it was read", now.path)),
    }
}

/// Judges a write of a content with the digest `asked` to a file that was `before`.
pub(super) fn write(
    asked: &Digest,
    before: Option<&Operand>,
    seen: Result<&Operand, String>,
) -> Verification {
    let now = match seen {
        Err(why) => return unverifiable(&why),
        Ok(now) => now,
    };
    let path = &now.path;
    if before.is_some_and(|before| before.path != *path) {
        return judged(Verdict::Partial, format!("the path leads to `{path}` by now"));
    }
    match Before::of(now) {
        Before::Content(digest) if digest == asked => {
            let size = now.size;
            judged(Verdict::Confirmed, format!("`{path}` holds the {size} bytes that were asked for"))
        }
        _ if before.is_some_and(|before| unchanged(before, now)) => {
            judged(Verdict::NoOp, format!("`{path}` is as it was before"))
        }
        Before::Nothing => judged(Verdict::Partial, format!("`{path}` isn't there")),
        Before::Content(_) | Before::Large => {
            judged(Verdict::Partial, format!("`{path}` holds something else than was asked for"))
        }
    }
}

/// What the world says of a write whose answer was lost.
pub(super) fn probe(asked: &Digest, before: Option<&Operand>, now: &Operand) -> Probe {
    match before {
        Some(before) if before.path != now.path => Probe::Undecidable,
        _ if now.digest.as_ref() == Some(asked) => Probe::Done,
        Some(before) if unchanged(before, now) => Probe::NotDone,
        _ => Probe::Undecidable,
    }
}

/// Whether the file holds what it held. A write gives a file another identity, so that a large one of the
/// same identity and size wasn't replaced.
fn unchanged(before: &Operand, now: &Operand) -> bool {
    match (Before::of(before), Before::of(now)) {
        (Before::Nothing, Before::Nothing) => true,
        (Before::Content(before), Before::Content(now)) => before == now,
        (Before::Large, Before::Large) => (&before.identity, before.size) == (&now.identity, now.size),
        _ => false,
    }
}
