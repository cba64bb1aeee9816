// micro getenv NAME COUNT | open PATH COUNT | spawn COUNT PROGRAM...: nanoseconds for one, the median of ten parts.
// The same program runs natively and inside; what differs is what shieldrun adds.
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PARTS = 10 };
extern char **environ;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int spawn(char **words) {
    pid_t pid;
    int status;
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    int failed = posix_spawnp(&pid, words[0], &quiet, NULL, words, environ);
    posix_spawn_file_actions_destroy(&quiet);
    return failed || waitpid(pid, &status, 0) != pid || status != 0;
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    int spawning = strcmp(argv[1], "spawn") == 0;
    long count = atol(argv[spawning ? 2 : 3]) / PARTS;
    if (count < 1)
        return 2;
    double parts[PARTS];
    volatile long seen = 0;
    for (int part = -1; part < PARTS; part++) {
        double begin = now();
        for (long at = 0; at < count; at++) {
            if (spawning) {
                if (spawn(argv + 3))
                    return 1;
            } else if (strcmp(argv[1], "getenv") == 0) {
                seen += getenv(argv[2]) != NULL;
            } else {
                int fd = open(argv[2], O_RDONLY | O_CLOEXEC);
                if (fd < 0)
                    return 1;
                close(fd);
            }
        }
        // The first part warms up.
        if (part >= 0)
            parts[part] = (now() - begin) / (double)count;
    }
    qsort(parts, PARTS, sizeof *parts, by_size);
    printf("%.2f\n", (parts[PARTS / 2 - 1] + parts[PARTS / 2]) / 2);
    return 0;
}
