// openers PATH: opens the file through each member of the family; says how each went.
#define _LARGEFILE64_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// What _FORTIFY_SOURCE turns open into.
extern int __open_2(const char *, int);
extern int __open64_2(const char *, int);
extern int __openat_2(int, const char *, int);
extern int __openat64_2(int, const char *, int);

static void say(const char *name, int opened) {
    printf("%s %s\n", name, opened ? "ALLOWED" : strerrorname_np(errno));
}

static void file(const char *name, int fd) {
    say(name, fd >= 0);
    if (fd >= 0)
        close(fd);
}

static void stream(const char *name, FILE *opened) {
    say(name, opened != NULL);
    if (opened)
        fclose(opened);
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    const char *path = argv[1];
    file("open", open(path, O_RDONLY));
    file("open64", open64(path, O_RDONLY));
    file("openat", openat(AT_FDCWD, path, O_RDONLY));
    file("openat64", openat64(AT_FDCWD, path, O_RDONLY));
    file("__open_2", __open_2(path, O_RDONLY));
    file("__open64_2", __open64_2(path, O_RDONLY));
    file("__openat_2", __openat_2(AT_FDCWD, path, O_RDONLY));
    file("__openat64_2", __openat64_2(AT_FDCWD, path, O_RDONLY));
    stream("fopen", fopen(path, "r"));
    stream("fopen64", fopen64(path, "r"));
    stream("freopen", freopen(path, "r", fopen("/dev/null", "r")));
    stream("freopen64", freopen64(path, "r", fopen("/dev/null", "r")));
    return 0;
}
