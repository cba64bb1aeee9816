//! A run that is over and to whose record something is added: a decision, a promotion, an undo.
//!
//! Whoever adds holds the record's lock, so several people and processes may decide at once. Events go on where
//! the chain ends, which is checked first: to a log that was changed nothing is added.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use serde::Serialize;
use serde::de::DeserializeOwned;
use shieldrun_policy::audit::Event;

use super::past::verify;
use super::{Adding, EVENTS, EventsRecord, Past, RUN, RecordError, RunRecord, read_at, replace_at};
use crate::audit;

/// The record, locked.
pub(crate) struct Late {
    past: Past,
    /// Where this process left the log. Nobody else adds to it meanwhile, so it is checked once.
    left: RefCell<Option<(u64, audit::Verified)>>,
}

impl Late {
    /// Locks the record of a run that is over.
    ///
    /// # Errors
    /// When it is not over, or somebody else holds it.
    pub(crate) fn lock(past: Past) -> Result<Self, RecordError> {
        flock(&past.directory, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| RecordError::Running { id: past.id.clone() })?;
        Ok(Self { past, left: RefCell::default() })
    }

    pub(crate) fn id(&self) -> &str {
        &self.past.id
    }

    pub(crate) fn path(&self) -> &Path {
        &self.past.path
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.past.directory.as_fd()
    }

    /// `run.json`.
    pub(crate) fn run(&self) -> Result<RunRecord, RecordError> {
        self.past.record()
    }

    /// A file of JSON.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<T, RecordError> {
        let bytes = self.bytes(name)?;
        serde_json::from_slice(&bytes)
            .map_err(|source| RecordError::Damaged { path: self.file(name), source })
    }

    /// A file of JSON lines.
    pub(crate) fn read_lines<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>, RecordError> {
        let bytes = self.bytes(name)?;
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(serde_json::from_slice)
            .collect::<Result<_, _>>()
            .map_err(|source| RecordError::Damaged { path: self.file(name), source })
    }

    /// Any file of it.
    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>, RecordError> {
        read_at(self.as_fd(), name).map_err(|source| RecordError::Read { path: self.file(name), source })
    }

    /// Writes a file of JSON, whole or not at all.
    pub(crate) fn write(&self, name: &str, value: &impl Serialize) -> Result<(), RecordError> {
        replace_at(self.as_fd(), name, value)
            .map_err(|source| RecordError::Write { path: self.file(name), source })
    }

    /// Adds events, and writes `run.json` anew with the end of the chain and what `edit` changes.
    ///
    /// Where it will end is written down first: whoever comes after a kill finds the addition there whole, or
    /// takes away what is there of it.
    pub(crate) fn add(&self, events: &[Event], edit: impl FnOnce(&mut RunRecord)) -> Result<(), RecordError> {
        let failed = |source: io::Error| RecordError::Write { path: self.file(EVENTS), source };
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let log = openat(self.as_fd(), EVENTS, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let mut log = File::from(log);
        let (verified, mut run) = match self.left.take() {
            Some((left, verified)) if log.metadata().is_ok_and(|log| log.len() == left) => {
                (verified, self.run()?)
            }
            _ => self.finish_adding(&log)?,
        };
        let length = log.metadata().map_err(failed)?.len();
        let (lines, end) = audit::following(self.id(), &verified, events);
        let dropped = run.events.as_ref().map_or(0, |events| events.dropped);
        let left = (length + lines.len() as u64, end.clone());
        let end = EventsRecord { lines: end.lines, dropped, last_hash: end.last_hash };
        let mut edited = run.clone();
        edit(&mut edited);
        if run.events.is_some() {
            run.adding = Some(Adding { length, events: end.clone(), result: edited.result.clone() });
            self.write(RUN, &run)?;
        }
        if let Err(error) = log.write_all(&lines) {
            // No line is there in part.
            let _ = log.set_len(length);
            return Err(failed(error));
        }
        edited.events = Some(end);
        self.write(RUN, &edited)?;
        self.left.replace(Some(left));
        Ok(())
    }

    /// The end of the chain, and `run.json` as it should be, whatever an addition before this one was cut off at.
    fn finish_adding(&self, log: &File) -> Result<(audit::Verified, RunRecord), RecordError> {
        let mut run = self.run()?;
        let adding = run.adding.take();
        let mut verified = verify(&self.past)?;
        if let (Err(_), Some(adding)) = (&verified, &adding)
            && log.metadata().is_ok_and(|metadata| metadata.len() > adding.length)
        {
            let failed = |source: io::Error| RecordError::Write { path: self.file(EVENTS), source };
            log.set_len(adding.length).map_err(failed)?;
            verified = verify(&self.past)?;
        }
        let verified = verified.map_err(|broken| RecordError::Broken {
            path: self.file(EVENTS),
            line: broken.line,
            reason: broken.reason,
        })?;
        if let Some(adding) = adding.filter(|adding| adding.events.last_hash == verified.last_hash) {
            run.events = Some(adding.events);
            run.result = adding.result;
        }
        Ok((verified, run))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.past.path.join(name)
    }
}
