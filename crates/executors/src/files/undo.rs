//! Puts back what a write replaced, unless the world moved on since.

use std::{ffi::OsString, io};

use cap_std::fs::Dir;
use steadyhand_core::{
    approval::Operand,
    digest::Digest,
    executor::{UndoError, UndoMode, Undone},
    failure::Failure,
};

use super::{
    content::{self, Before, Keep, Sealed},
    diff,
    place::{Place, Roots},
    refusal::Refusal,
    stop::Stop,
    wanted::Wanted,
    write::{self, Order, Tools},
};

/// What is to be undone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Undo<'a> {
    pub(super) wanted: &'a Wanted,
    /// What the action wrote.
    pub(super) content: &'a [u8],
    /// The file before the action.
    pub(super) before: &'a Operand,
    /// Its content then.
    pub(super) pre_image: Option<&'a [u8]>,
    pub(super) mode: UndoMode,
}

impl From<Refusal> for UndoError {
    fn from(refusal: Refusal) -> Self {
        Self::Failed(refusal.into())
    }
}

/// Undoes, or says what an undo would do.
pub(super) fn undo(tools: Tools<'_>, undo: Undo<'_>, stop: &Stop) -> Result<Undone, UndoError> {
    let Undo { before, pre_image, .. } = undo;
    let pre_image = match (Before::of(before), pre_image) {
        (Before::Nothing, _) => None,
        (Before::Content(digest), Some(bytes)) if Digest::of(bytes) == *digest => Some(bytes),
        (Before::Content(_), Some(_)) => {
            return Err(failed("what was kept of the file isn't what the file held"));
        }
        (Before::Content(_) | Before::Large, _) => {
            return Err(failed("what the file held wasn't kept, so it can't be put back"));
        }
    };
    let place = match tools.roots.locate(undo.wanted) {
        Err(refusal @ (Refusal::NotAFile { .. } | Refusal::NotAFolder { .. })) => {
            let message = format!("`{}` was changed since the action wrote it: {refusal}", before.path);
            return Err(UndoError::Conflict { message, diff: None });
        }
        place => place?,
    };
    if place.path().to_string_lossy() != before.path {
        let message = format!("`{}` is `{}` by now", undo.wanted.given, place.path().display());
        return Err(UndoError::Conflict { message, diff: None });
    }
    let present = content::seal(&place, Keep::Content, stop)?;
    let name = &before.path;
    if present.operand.digest.as_ref() == before.digest.as_ref()
        && Before::of(&present.operand) != Before::Large
    {
        return Ok(Undone { summary: format!("`{name}` is already as it was before"), diff: None });
    }
    let written = Digest::of(undo.content);
    if present.operand.digest != Some(written) {
        return Err(conflict(undo, &present));
    }
    let diff = diff::unified(("now", undo.content), ("put back", pre_image.unwrap_or_default()));
    let size = before.size;
    let summary = match (pre_image, undo.mode) {
        (Some(_), UndoMode::DryRun) => format!("the {size} bytes that `{name}` held would be put back"),
        (Some(_), UndoMode::Real) => format!("the {size} bytes that `{name}` held were put back"),
        (None, UndoMode::DryRun) => format!("`{name}`, which wasn't there before, would be removed"),
        (None, UndoMode::Real) => format!("`{name}`, which wasn't there before, was removed"),
    };
    if undo.mode == UndoMode::Real {
        match pre_image {
            Some(content) => {
                let order = Order { wanted: undo.wanted, content, sealed: Some(&present.operand) };
                let written = write::write(tools, order, stop);
                written.map_err(|refusal| moved_on(refusal, undo, stop, tools.roots))?;
            }
            None => remove(tools.roots, place, &present.operand, undo, stop)?,
        }
        check(tools.roots, undo, stop)?;
    }
    Ok(Undone { summary, diff })
}

fn failed(message: &str) -> UndoError {
    UndoError::Failed(Failure::error(message))
}

/// The difference between what the action left and what is there.
fn conflict(undo: Undo<'_>, present: &Sealed) -> UndoError {
    let name = &undo.before.path;
    let message = match Before::of(&present.operand) {
        Before::Nothing => format!("`{name}` was removed since the action wrote it"),
        Before::Content(_) | Before::Large => format!("`{name}` was changed since the action wrote it"),
    };
    let now = match Before::of(&present.operand) {
        Before::Large => None,
        Before::Nothing | Before::Content(_) => Some(present.content.as_deref().unwrap_or_default()),
    };
    let diff = now.and_then(|now| diff::unified(("written", undo.content), ("now", now)));
    UndoError::Conflict { message, diff }
}

/// A file that changed between the look and the act is a conflict, not a stale approval.
fn moved_on(refusal: Refusal, undo: Undo<'_>, stop: &Stop, roots: &Roots) -> UndoError {
    match refusal {
        Refusal::Stale { .. } | Refusal::Unsteady { .. } => {
            match roots.locate(undo.wanted).and_then(|place| content::seal(&place, Keep::Content, stop)) {
                Ok(present) => conflict(undo, &present),
                Err(refusal) => refusal.into(),
            }
        }
        refusal => refusal.into(),
    }
}

fn remove(
    roots: &Roots,
    place: Place,
    present: &Operand,
    undo: Undo<'_>,
    stop: &Stop,
) -> Result<(), UndoError> {
    let unsteady = || Refusal::Unsteady { given: undo.wanted.given.clone() };
    let Place::There(found) = place else { return Err(unsteady().into()) };
    let (folder, name): (Dir, OsString) = roots.holder(&found)?.ok_or_else(unsteady)?;
    let now = content::seal(&Place::There(found), Keep::Content, stop)?;
    if now.operand != *present {
        return Err(conflict(undo, &now));
    }
    stop.commit()?;
    folder.remove_file(&name).map_err(Refusal::io("removing the file"))?;
    write::sync(&folder)
        .map_err(|source: io::Error| UndoError::from(Refusal::Late { doing: "syncing its folder", source }))
}

/// Looks afresh whether it is as before.
fn check(roots: &Roots, undo: Undo<'_>, stop: &Stop) -> Result<(), UndoError> {
    let now = content::seal(&roots.locate(undo.wanted)?, Keep::DigestOnly, stop)?;
    if now.operand.digest == undo.before.digest {
        Ok(())
    } else {
        let text = format!("`{}` isn't what was put back", undo.before.path);
        Err(UndoError::Failed(Failure::failed_midway(text)))
    }
}
