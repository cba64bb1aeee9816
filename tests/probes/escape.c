// escape ATTEMPT [ARGUMENT]: one attempt to get more than was given. Says ALLOWED, or BLOCKED and the error.
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

// Of clone3(2); older headers do not have it.
struct clone_wishes {
    unsigned long long flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

static int say(long result) {
    if (result < 0)
        printf("BLOCKED %s\n", strerrorname_np(errno));
    else
        puts("ALLOWED");
    return 0;
}

// The child of an allowed clone has nothing to do.
static int say_cloned(long pid) {
    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid((pid_t)pid, NULL, 0);
    return say(pid);
}

static long connect_to(const char *path, size_t length) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (length > sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, length);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    return connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
}

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    const char *what = argv[1];
    const char *with = argc > 2 ? argv[2] : "/tmp";
    if (strcmp(what, "mount") == 0)
        return say(mount("none", with, "tmpfs", 0, NULL));
    if (strcmp(what, "bind") == 0)
        return say(mount("/etc", with, NULL, MS_BIND, NULL));
    if (strcmp(what, "remount") == 0)
        return say(mount(NULL, with, NULL, MS_REMOUNT | MS_BIND, NULL));
    if (strcmp(what, "umount") == 0)
        return say(umount2(with, MNT_DETACH));
    if (strcmp(what, "open-tree") == 0)
        return say(syscall(SYS_open_tree, AT_FDCWD, with, 1 /* OPEN_TREE_CLONE */));
    if (strcmp(what, "pivot-root") == 0)
        return say(syscall(SYS_pivot_root, with, with));
    if (strcmp(what, "chroot") == 0)
        return say(chroot(with));
    if (strcmp(what, "unshare-user") == 0)
        return say(unshare(CLONE_NEWUSER));
    if (strcmp(what, "unshare-mount") == 0)
        return say(unshare(CLONE_NEWNS));
    if (strcmp(what, "clone-user") == 0)
        return say_cloned(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    if (strcmp(what, "clone3-user") == 0) {
        struct clone_wishes wishes = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
        return say_cloned(syscall(SYS_clone3, &wishes, sizeof wishes));
    }
    if (strcmp(what, "setns") == 0)
        return say(setns(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC), 0));
    if (strcmp(what, "setuid") == 0)
        return say(setuid(getuid() + 1));
    if (strcmp(what, "mknod") == 0)
        return say(mknod(with, S_IFCHR | 0666, 0x0801));
    if (strcmp(what, "trace") == 0)
        return say(ptrace(PTRACE_ATTACH, atoi(with), NULL, NULL));
    if (strcmp(what, "io-uring") == 0) {
        char parameters[256] = {0};
        return say(syscall(SYS_io_uring_setup, 8, parameters));
    }
    if (strcmp(what, "keyctl") == 0)
        return say(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1));
    if (strcmp(what, "handle") == 0) {
        struct {
            struct file_handle head;
            unsigned char room[128];
        } handle = {.head = {.handle_bytes = 128}};
        int mount_id;
        if (name_to_handle_at(AT_FDCWD, with, &handle.head, &mount_id, 0) < 0)
            return say(-1);
        return say(open_by_handle_at(open("/", O_RDONLY | O_DIRECTORY), &handle.head, O_RDONLY));
    }
    if (strcmp(what, "raw-socket") == 0)
        return say(socket(AF_INET, SOCK_RAW, 1));
    if (strcmp(what, "hostname") == 0)
        return say(sethostname("other", 5));
    if (strcmp(what, "connect") == 0)
        return say(connect_to(with, strlen(with) + 1));
    if (strcmp(what, "connect-abstract") == 0) {
        char name[100] = {0};
        size_t length = strlen(with) < 98 ? strlen(with) : 98;
        memcpy(name + 1, with, length);
        return say(connect_to(name, length + 1));
    }
    if (strcmp(what, "type-ahead") == 0) {
        int result = 0;
        for (const char *key = with; *key && result == 0; key++)
            result = ioctl(0, TIOCSTI, key);
        return say(result ? result : ioctl(0, TIOCSTI, "\n"));
    }
    fputs("unknown attempt\n", stderr);
    return 2;
}
