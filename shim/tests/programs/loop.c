/* getenv of one name, many times; prints nanoseconds a call. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    long count = atol(argv[2]);
    struct timespec from, to;
    volatile const char *value = 0;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (long i = 0; i < count; i++) value = getenv(argv[1]);
    clock_gettime(CLOCK_MONOTONIC, &to);
    (void)value;
    double ns = (to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec);
    printf("%.1f\n", ns / count);
    return 0;
}
