// asker COUNT NAME...: asks COUNT times for each variable in turn, then prints how often it was set.
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    long count = atol(argv[1]);
    long set = 0;
    for (long round = 0; round < count; round++)
        for (int at = 2; at < argc; at++)
            if (getenv(argv[at]))
                set++;
    printf("%ld\n", set);
    return 0;
}
