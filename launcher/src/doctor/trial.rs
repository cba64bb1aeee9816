//! Owns the trial: a child in new namespaces that tries what a run needs, one step after another, and
//! leaves nothing behind.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::MountFlags;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::spawn::collect;
use crate::sys::mount::{Change, Reach, change};
use crate::sys::process::{ALL_NAMESPACES, Cloned, clone_into, leave};
use crate::sys::{loopback, privileges};

/// What is tried, in this order; each stands on the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Namespaces,
    Identity,
    Mounts,
    Proc,
    Loopback,
    Tmpfs,
    Overlay,
    Fuse,
}

const STEPS: [Step; 8] = [
    Step::Namespaces,
    Step::Identity,
    Step::Mounts,
    Step::Proc,
    Step::Loopback,
    Step::Tmpfs,
    Step::Overlay,
    Step::Fuse,
];

/// What became of each step that was reached.
#[derive(Debug)]
pub(super) struct Trial(Vec<(Step, Result<(), io::Error>)>);

/// An empty place on the file system of the records, for the trial of an overlay.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Trial {
    /// Tries everything. `scratch`: where run records lie, if they can be made.
    pub(super) fn run(scratch: Option<&Scratch>) -> Self {
        let piped = pipe_with(PipeFlags::CLOEXEC);
        let Ok((theirs, ours)) = piped.map(|(read, write)| (write, read)) else {
            return Self(vec![(Step::Namespaces, Err(io::Error::other("no pipe")))]);
        };
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        match clone_into(ALL_NAMESPACES, None) {
            Err(error) => Self(vec![(Step::Namespaces, Err(error))]),
            Ok(Cloned::Child) => {
                drop(ours);
                try_all(&mut File::from(theirs), uid, gid, scratch);
                leave(0)
            }
            Ok(Cloned::Parent { pidfd, .. }) => {
                drop(theirs);
                let trial = Self::hear(ours);
                collect(&pidfd);
                trial
            }
        }
    }

    /// What became of a step; `None` when it was never reached.
    pub(super) fn of(&self, step: Step) -> Option<&Result<(), io::Error>> {
        self.0.iter().find(|(own, _)| *own == step).map(|(_, result)| result)
    }

    /// One byte for the step, four for its errno.
    fn hear(from: OwnedFd) -> Self {
        let mut said = Vec::new();
        let _ = File::from(from).read_to_end(&mut said);
        let mut steps = vec![(Step::Namespaces, Ok(()))];
        for word in said.chunks_exact(5) {
            let [step, errno @ ..] = word else { continue };
            let Some(step) = STEPS.get(usize::from(*step)) else { continue };
            let errno = i32::from_le_bytes(errno.try_into().unwrap_or_default());
            let result = if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) };
            steps.push((*step, result));
        }
        Self(steps)
    }
}

fn try_all(to: &mut File, uid: u32, gid: u32, scratch: Option<&Scratch>) {
    type Try<'a> = (Step, &'a dyn Fn() -> io::Result<()>);
    let overlay = || scratch.map_or(Err(io::ErrorKind::NotFound.into()), Scratch::overlay);
    let steps: [Try<'_>; 7] = [
        (Step::Identity, &|| identity(uid, gid)),
        (Step::Mounts, &|| change(CWD, c"/", Change::Private, Reach::Tree)),
        // Before `/proc` is another one: the descriptors of this process are named by the old one.
        (Step::Overlay, &overlay),
        (Step::Fuse, &|| fuse(uid, gid)),
        (Step::Proc, &|| mount(c"proc", c"/proc", c"proc", None)),
        (Step::Loopback, &loopback::up),
        (Step::Tmpfs, &|| mount(c"tmpfs", c"/tmp", c"tmpfs", None)),
    ];
    for (step, attempt) in steps {
        let errno = attempt().map_or_else(|error| error.raw_os_error().unwrap_or(libc::EIO), |()| 0);
        let number = STEPS.iter().position(|own| *own == step).unwrap_or_default();
        let mut word = vec![u8::try_from(number).unwrap_or(u8::MAX)];
        word.extend(errno.to_le_bytes());
        if to.write_all(&word).is_err() {
            return;
        }
    }
}

/// Own ids mapped onto themselves, as a run does it.
fn identity(uid: u32, gid: u32) -> io::Result<()> {
    privileges::own_proc_files()?;
    fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
}

fn mount(source: &CStr, at: &CStr, kind: &CStr, options: Option<&CStr>) -> io::Result<()> {
    Ok(rustix::mount::mount(source, at, kind, MountFlags::NOSUID | MountFlags::NODEV, options)?)
}

/// A file system of ours at `/tmp`, served by nobody: the kernel accepts it or does not.
fn fuse(uid: u32, gid: u32) -> io::Result<()> {
    let device = rustix::fs::open(c"/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let options = format!("fd={},rootmode=40000,user_id={uid},group_id={gid}", device.as_raw_fd());
    let options = std::ffi::CString::new(options)?;
    mount(c"shieldrun", c"/tmp", c"fuse", Some(&options))?;
    // It would answer nobody.
    Ok(rustix::mount::unmount(c"/tmp", rustix::mount::UnmountFlags::DETACH)?)
}

impl Scratch {
    const PARTS: [&'static str; 3] = ["lower", "upper", "work"];

    /// Makes one beside the records of runs.
    ///
    /// # Errors
    /// When no record could be made there either.
    pub(super) fn beside(runs: &Path) -> io::Result<Self> {
        let scratch = Self(runs.join(format!(".doctor-{}", std::process::id())));
        for part in Self::PARTS {
            fs::create_dir_all(scratch.0.join(part))?;
        }
        Ok(scratch)
    }

    /// By descriptors, so that no character of the path means anything to the mount options.
    fn overlay(&self) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut parts = Vec::new();
        for part in Self::PARTS {
            parts.push(rustix::fs::open(self.0.join(part), flags, Mode::empty())?);
        }
        let name = |part: &OwnedFd| format!("/proc/self/fd/{}", part.as_fd().as_raw_fd());
        let [lower, upper, work] = parts.as_slice() else { return Err(io::ErrorKind::InvalidInput.into()) };
        let options =
            format!("userxattr,lowerdir={},upperdir={},workdir={}", name(lower), name(upper), name(work));
        mount(c"overlay", c"/tmp", c"overlay", Some(&std::ffi::CString::new(options)?))?;
        Ok(rustix::mount::unmount(c"/tmp", rustix::mount::UnmountFlags::DETACH)?)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The kernel's own directory in `work` has mode 0, so that no walk gets through it.
        let _ = fs::remove_dir(self.0.join("work/work"));
        for part in Self::PARTS {
            let _ = fs::remove_dir(self.0.join(part));
        }
        let _ = fs::remove_dir(&self.0);
    }
}
