// Reads the environment and files the ordinary way, through libc.
//   reader env NAME...   the value of each variable, one a line
//   reader environ       the whole environment
//   reader cat PATH      the file, or BLOCKED and the error
//   reader mmap PATH     the same through a mapping
//   reader hold NAME     prints ready and keeps the variable in memory until stdin ends
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static int blocked(void) {
    printf("BLOCKED %s\n", strerrorname_np(errno));
    return 0;
}

static int cat(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return blocked();
    char buffer[4096];
    ssize_t count;
    while ((count = read(fd, buffer, sizeof buffer)) > 0)
        fwrite(buffer, 1, (size_t)count, stdout);
    return count < 0 ? blocked() : 0;
}

static int map(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return blocked();
    char *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return blocked();
    fwrite(bytes, 1, (size_t)status.st_size, stdout);
    return 0;
}

int main(int argc, char **argv) {
    if (argc >= 2 && strcmp(argv[1], "environ") == 0) {
        for (char **entry = environ; *entry; entry++)
            puts(*entry);
        return 0;
    }
    if (argc >= 3 && strcmp(argv[1], "env") == 0) {
        for (int at = 2; at < argc; at++) {
            const char *value = getenv(argv[at]);
            puts(value ? value : "(unset)");
        }
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "cat") == 0)
        return cat(argv[2]);
    if (argc == 3 && strcmp(argv[1], "mmap") == 0)
        return map(argv[2]);
    if (argc == 3 && strcmp(argv[1], "hold") == 0) {
        const char *value = getenv(argv[2]);
        char *copy = strdup(value ? value : "");
        puts(copy ? "ready" : "no memory");
        fflush(stdout);
        while (getchar() != EOF)
            ;
        free(copy);
        return 0;
    }
    fputs("usage: see the source\n", stderr);
    return 2;
}
