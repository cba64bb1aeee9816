//! The functions behind the hooks: the next definition of each, in the order of the dynamic loader.
//!
//! All are looked up by the constructor, while the process has one thread: `dlsym` takes the loader's lock, which
//! a hook in a signal handler or in a forked child must not wait for. A hook that runs before that looks up its own.

use core::ffi::CStr;
use core::marker::PhantomData;
use core::num::NonZeroUsize;

use once_cell::race::OnceNonZeroUsize;

/// One function, by name.
pub(crate) struct Real<F> {
    name: &'static CStr,
    address: OnceNonZeroUsize,
    signature: PhantomData<F>,
}

impl<F: Copy> Real<F> {
    /// # Safety
    /// `F` is the type of a C function pointer, and the function of this name has that type.
    pub(crate) const unsafe fn new(name: &'static CStr) -> Real<F> {
        const { assert!(size_of::<F>() == size_of::<usize>()) };
        Real { name, address: OnceNonZeroUsize::new(), signature: PhantomData }
    }

    /// The function, if this libc has it.
    #[inline]
    pub(crate) fn get(&self) -> Option<F> {
        let address = match self.address.get() {
            Some(address) => address,
            None => self.find()?,
        };
        // SAFETY: by `new`'s duty `F` is a function pointer of the right type; its size was asserted.
        Some(unsafe { core::mem::transmute_copy::<usize, F>(&address.get()) })
    }

    #[cold]
    pub(crate) fn find(&self) -> Option<NonZeroUsize> {
        // SAFETY: a C string; RTLD_NEXT asks for what comes after this library.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        let address = NonZeroUsize::new(found.expose_provenance())?;
        Some(self.address.get_or_init(|| address))
    }
}

/// Declares the real functions, and `find_all` for the constructor.
macro_rules! reals {
    ($($real:ident = $name:literal: fn($($argument:ty),*) -> $result:ty;)*) => {
        $(
            pub(crate) static $real: Real<unsafe extern "C" fn($($argument),*) -> $result> =
                // SAFETY: the signature is the manual's.
                unsafe { Real::new($name) };
        )*

        /// Looks all of them up. One that is missing is looked for again when it is called.
        pub(crate) fn find_all() {
            $( let _ = $real.find(); )*
        }
    };
}

pub(crate) type Text = *const libc::c_char;
pub(crate) type List = *const *const libc::c_char;
pub(crate) type File = *mut libc::FILE;

reals! {
    GETENV = c"getenv": fn(Text) -> *mut libc::c_char;
    SECURE_GETENV = c"secure_getenv": fn(Text) -> *mut libc::c_char;

    OPEN = c"open": fn(Text, i32, libc::mode_t) -> i32;
    OPEN64 = c"open64": fn(Text, i32, libc::mode_t) -> i32;
    OPENAT = c"openat": fn(i32, Text, i32, libc::mode_t) -> i32;
    OPENAT64 = c"openat64": fn(i32, Text, i32, libc::mode_t) -> i32;
    OPEN_2 = c"__open_2": fn(Text, i32) -> i32;
    OPEN64_2 = c"__open64_2": fn(Text, i32) -> i32;
    OPENAT_2 = c"__openat_2": fn(i32, Text, i32) -> i32;
    OPENAT64_2 = c"__openat64_2": fn(i32, Text, i32) -> i32;
    CREAT = c"creat": fn(Text, libc::mode_t) -> i32;
    CREAT64 = c"creat64": fn(Text, libc::mode_t) -> i32;
    FOPEN = c"fopen": fn(Text, Text) -> File;
    FOPEN64 = c"fopen64": fn(Text, Text) -> File;
    FREOPEN = c"freopen": fn(Text, Text, File) -> File;
    FREOPEN64 = c"freopen64": fn(Text, Text, File) -> File;
    OPENDIR = c"opendir": fn(Text) -> *mut libc::DIR;

    EXECVE = c"execve": fn(Text, List, List) -> i32;
    EXECV = c"execv": fn(Text, List) -> i32;
    EXECVP = c"execvp": fn(Text, List) -> i32;
    EXECVPE = c"execvpe": fn(Text, List, List) -> i32;
    EXECVEAT = c"execveat": fn(i32, Text, List, List, i32) -> i32;
    FEXECVE = c"fexecve": fn(i32, List, List) -> i32;
    POSIX_SPAWN = c"posix_spawn": fn(*mut libc::pid_t, Text, Actions, Attributes, List, List) -> i32;
    POSIX_SPAWNP = c"posix_spawnp": fn(*mut libc::pid_t, Text, Actions, Attributes, List, List) -> i32;
    SYSTEM = c"system": fn(Text) -> i32;
    POPEN = c"popen": fn(Text, Text) -> File;

    CONNECT = c"connect": fn(i32, *const libc::sockaddr, libc::socklen_t) -> i32;
    SENDTO = c"sendto": fn(i32, *const libc::c_void, usize, i32, *const libc::sockaddr, libc::socklen_t) -> isize;
    SENDMSG = c"sendmsg": fn(i32, *const libc::msghdr, i32) -> isize;
    GETADDRINFO = c"getaddrinfo": fn(Text, Text, *const libc::addrinfo, *mut *mut libc::addrinfo) -> i32;
}

pub(crate) type Actions = *const libc::posix_spawn_file_actions_t;
pub(crate) type Attributes = *const libc::posix_spawnattr_t;

/// Sets `errno`: only where a hook answers in the real function's place.
pub(crate) fn fail_with(error: i32) {
    // SAFETY: libc gives each thread its own, valid for as long as the thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    unsafe { errno.write(error) };
}

/// Runs something and leaves `errno` as it was.
pub(crate) fn keeping_errno(run: impl FnOnce()) {
    // SAFETY: libc gives each thread its own, valid for as long as the thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { errno.read() };
    run();
    // SAFETY: as above.
    unsafe { errno.write(before) };
}
