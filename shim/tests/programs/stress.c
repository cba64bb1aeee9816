/* Threads, forks, vforks and signal handlers, all calling what the shim hooks at the same time. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 300 };

static const char *blocked;
static volatile sig_atomic_t handled, wrong;

static void check(int good) {
    if (!good) wrong = 1;
}

static void touch(void) {
    check(getenv("API_TOKEN") != 0);
    check(getenv("NOT_THERE") == 0);
    int got = open("/dev/null", O_RDONLY | O_CLOEXEC);
    check(got >= 0);
    close(got);
    got = open(blocked, O_RDONLY);
    check(got == -1 && errno == EACCES);
}

static void on_signal(int number) {
    (void)number;
    int error = errno;
    touch();
    errno = error;
    handled++;
}

static void *work(void *nothing) {
    (void)nothing;
    for (int i = 0; i < ROUNDS; i++) {
        touch();
        char *words[] = {"true", 0};
        char *none[] = {0};
        if (i % 30 == 0) {
            pid_t child = vfork();
            if (child == 0) {
                execve("/bin/true", words, none);
                _exit(9);
            }
            int status = -1;
            while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
            check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
        if (i % 30 == 15) {
            pid_t child = fork();
            if (child == 0) {
                touch();
                _exit(wrong);
            }
            int status = -1;
            while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
            check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
    }
    // All that may take less than a tick of the timer.
    while (!handled) touch();
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    blocked = argv[1];
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGPROF, &action, 0);
    struct itimerval every = {{0, 500}, {0, 500}};
    setitimer(ITIMER_PROF, &every, 0);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, work, 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], 0);
    printf("%s, handled %s\n", wrong ? "wrong" : "right", handled > 0 ? "some" : "none");
    return wrong;
}
