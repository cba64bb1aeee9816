/* A library whose constructor reads the environment and opens files, before the program begins. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void early(void) {
    int got = open("/dev/null", O_RDONLY);
    printf("early %s %d\n", getenv("API_TOKEN") ? "yes" : "no", got >= 0);
    fflush(stdout);
    close(got);
}
