/* Nanoseconds a call, one line each, the smallest of several rounds. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

#define MEASURE(name, count, call)                                  \
    do {                                                            \
        double best = 1e18;                                         \
        for (int round = 0; round < 25; round++) {                  \
            double from = now();                                    \
            for (int i = 0; i < (count); i++) { call; }             \
            double each = (now() - from) / (count);                 \
            if (each < best) best = each;                           \
        }                                                           \
        printf("%s %.1f\n", name, best);                            \
    } while (0)

int main(int argc, char **argv) {
    const char *volatile value;
    const char *deep = argc > 1 ? argv[1] : "/etc/passwd";
    MEASURE("getenv-plain", 20000, value = getenv("PLAIN"));
    MEASURE("getenv-absent", 20000, value = getenv("NOT_THERE"));
    MEASURE("getenv-near", 20000, value = getenv("API_TOKENS_PUBLIC"));
    MEASURE("getenv-secret", 20000, value = getenv("API_TOKEN"));
    MEASURE("open-close", 2000, close(open("/etc/passwd", O_RDONLY | O_CLOEXEC)));
    MEASURE("open-close-deep", 2000, close(open(deep, O_RDONLY | O_CLOEXEC)));
    MEASURE("open-absent", 2000, (void)open("/usr/lib/python3/dist-packages/none.py", O_RDONLY | O_CLOEXEC));
    (void)value;
    return 0;
}
