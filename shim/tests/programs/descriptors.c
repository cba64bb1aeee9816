/* Which descriptors are open, when all that it inherited were closed before it began. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 2) {
        for (int i = 0; i < 64; i++) close(i);
        execl("/proc/self/exe", argv[0], "inner", (char *)0);
        return 9;
    }
    unsigned long open_ones = 0;
    for (int i = 0; i < 64; i++) if (fcntl(i, F_GETFD) >= 0) open_ones++;
    getenv("API_TOKEN");
    int first = open("/dev/null", O_RDONLY);
    return open_ones == 0 && first == 0 ? 0 : 1;
}
