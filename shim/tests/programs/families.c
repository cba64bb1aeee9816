/* Calls every function that the shim hooks, and prints what came back. Its output must not depend on the shim. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
int __open_2(const char *, int);
int __open64_2(const char *, int);
int __openat_2(int, const char *, int);
int __openat64_2(int, const char *, int);

static void say(const char *what, long good) {
    int error = errno;
    printf("%s %s %d\n", what, good ? "yes" : "no", error);
    fflush(stdout);
}

#define DESCRIPTOR(call)                         \
    do {                                         \
        errno = 77;                              \
        int got = (call);                        \
        say(#call, got >= 0);                    \
        if (got >= 0) close(got);                \
    } while (0)

#define STREAM(call)                             \
    do {                                         \
        errno = 77;                              \
        FILE *got = (call);                      \
        say(#call, got != 0);                    \
        if (got) fclose(got);                    \
    } while (0)

static void opens(const char *path, const char *directory) {
    int at = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *name = strrchr(path, '/') + 1;
    char odd[4096];
    snprintf(odd, sizeof odd, "%s//./x/..//%s", directory, name);
    DESCRIPTOR(open(path, O_RDONLY));
    DESCRIPTOR(open64(path, O_RDONLY));
    DESCRIPTOR(open(path, O_RDWR | O_CREAT, 0600));
    DESCRIPTOR(open(odd, O_RDONLY));
    DESCRIPTOR(openat(AT_FDCWD, path, O_RDONLY));
    DESCRIPTOR(openat(at, name, O_RDONLY));
    DESCRIPTOR(openat64(at, name, O_RDONLY | O_NOFOLLOW));
    DESCRIPTOR(openat(-5, name, O_RDONLY));
    DESCRIPTOR(openat(-5, path, O_RDONLY));
    DESCRIPTOR(__open_2(path, O_RDONLY));
    DESCRIPTOR(__open64_2(path, O_RDONLY));
    DESCRIPTOR(__openat_2(at, name, O_RDONLY));
    DESCRIPTOR(__openat64_2(at, name, O_RDONLY));
    DESCRIPTOR(creat(path, 0600));
    DESCRIPTOR(creat64(path, 0600));
    DESCRIPTOR(open(path, O_PATH));
    STREAM(fopen(path, "r"));
    STREAM(fopen64(path, "re"));
    STREAM(fopen(path, "a"));
    STREAM(freopen(path, "r", fopen("/dev/null", "r")));
    STREAM(freopen64(path, "r", fopen("/dev/null", "r")));
    errno = 77;
    DIR *listing = opendir(directory);
    say("opendir", listing != 0);
    if (listing) closedir(listing);
    if (at >= 0) close(at);
}

static void bad_arguments(void) {
    const char *volatile none = 0;
    DESCRIPTOR(open(none, O_RDONLY));
    DESCRIPTOR(openat(AT_FDCWD, none, O_RDONLY));
    DESCRIPTOR(open("", O_RDONLY));
    char *words[] = {"x", 0};
    errno = 77; say("execve null", execve(none, words, words) == 0);
    errno = 77; say("execve absent", execve("/nowhere/at/all", words, words) == 0);
    errno = 77; say("execvp absent", execvp("nowhere-at-all", words) == 0);
    errno = 77; say("execl absent", execl("/nowhere/at/all", "x", (char *)0) == 0);
    errno = 77; say("execve directory", execve("/", words, words) == 0);
    errno = 77; say("connect null", connect(-1, 0, 0) == 0);
    errno = 77; say("sendto bad", sendto(-1, "x", 1, 0, 0, 0) == 0);
    errno = 77; say("sendmsg null", sendmsg(-1, (struct msghdr *)none, 0) == 0);
    errno = 77; say("system null", system(none) != 0);
    char name[6000];
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = 0;
    DESCRIPTOR(open(name, O_RDONLY));
}

/* Runs one exec in a child; what it starts prints its arguments and the variable. */
#define CHILD(call)                                            \
    do {                                                       \
        fflush(stdout);                                        \
        pid_t child = fork();                                  \
        if (child == 0) { call; _exit(99); }                   \
        int status;                                            \
        waitpid(child, &status, 0);                            \
        printf("%s: %d\n", #call, WEXITSTATUS(status));        \
    } while (0)

static void execs(void) {
    const char *show = "echo \"[$#] $1 $9 ${10} $MARK\"";
    char *words[] = {"sh", "-c", (char *)show, "sh", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", 0};
    char *given[] = {"MARK=given", "PATH=/bin:/usr/bin", 0};
    CHILD(execv("/bin/sh", words));
    CHILD(execve("/bin/sh", words, given));
    CHILD(execvp("sh", words));
    CHILD(execvpe("sh", words, given));
    CHILD(execl("/bin/sh", "sh", "-c", show, (char *)0));
    CHILD(execl("/bin/sh", "sh", "-c", show, "sh", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", (char *)0));
    CHILD(execlp("sh", "sh", "-c", show, "sh", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", (char *)0));
    CHILD(execle("/bin/sh", "sh", "-c", show, "sh", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", (char *)0, given));
    CHILD(execle("/bin/sh", "sh", "-c", show, (char *)0, given));
    CHILD(execle("/bin/sh", "sh", "-c", "echo empty", (char *)0, (char **)0));
    CHILD(fexecve(open("/bin/sh", O_RDONLY), words, given));
    CHILD(execveat(AT_FDCWD, "/bin/sh", words, given, 0));
    CHILD(execveat(open("/bin/sh", O_RDONLY), "", words, given, AT_EMPTY_PATH));
    CHILD(clearenv(); execv("/bin/sh", words));
    CHILD(clearenv(); execl("/bin/sh", "sh", "-c", show, (char *)0));

    pid_t child;
    int status;
    fflush(stdout);
    int result = posix_spawn(&child, "/bin/sh", 0, 0, words, given);
    waitpid(child, &status, 0);
    printf("posix_spawn %d\n", result);
    fflush(stdout);
    result = posix_spawnp(&child, "sh", 0, 0, words, environ);
    waitpid(child, &status, 0);
    printf("posix_spawnp %d\n", result);
    printf("absent %d\n", posix_spawn(&child, "/nowhere/at/all", 0, 0, words, given));
    fflush(stdout);
    printf("system %d\n", system("echo from system; exit 7"));
    fflush(stdout);
    FILE *pipe = popen("echo from popen", "r");
    char line[100] = "";
    if (pipe && fgets(line, sizeof line, pipe)) printf("%s", line);
    printf("pclose %d\n", pclose(pipe));

    fflush(stdout);
    child = vfork();
    if (child == 0) {
        execve("/nowhere/at/all", words, given);
        execve("/bin/sh", words, given);
        _exit(98);
    }
    waitpid(child, &status, 0);
    printf("vfork %d\n", WEXITSTATUS(status));
}

static void network(void) {
    int server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    bind(server, (struct sockaddr *)&address, length);
    listen(server, 4);
    getsockname(server, (struct sockaddr *)&address, &length);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    errno = 77; say("connect", connect(client, (struct sockaddr *)&address, length) == 0);
    errno = 77; say("sendto stream", sendto(client, "x", 1, 0, 0, 0) == 1);
    struct iovec part = {"yz", 2};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    errno = 77; say("sendmsg stream", sendmsg(client, &message, 0) == 2);
    int datagram = socket(AF_INET, SOCK_DGRAM, 0);
    errno = 77; say("sendto", sendto(datagram, "x", 1, 0, (struct sockaddr *)&address, length) == 1);
    message.msg_name = &address;
    message.msg_namelen = length;
    errno = 77; say("sendmsg", sendmsg(datagram, &message, 0) == 2);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    errno = 77; say("connect none", connect(datagram, &none, sizeof none) == 0);
    struct sockaddr_un path = {.sun_family = AF_UNIX, .sun_path = "/nowhere/at/all"};
    errno = 77; say("connect path", connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&path, sizeof path) == 0);
    struct addrinfo *found = 0;
    printf("getaddrinfo %d\n", getaddrinfo("127.0.0.1", "80", 0, &found));
    freeaddrinfo(found);
    printf("getaddrinfo %d\n", getaddrinfo(0, "80", 0, &found));
    freeaddrinfo(found);
    printf("getaddrinfo %d\n", getaddrinfo(0, 0, 0, &found));
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    errno = 77;
    say("getenv", getenv("MARK") && !strcmp(getenv("MARK"), "inherited"));
    say("getenv absent", getenv("NOT_THERE") == 0);
    say("getenv empty", getenv("") == 0);
    say("secure_getenv", secure_getenv("MARK") != 0);
    opens(argv[1], argv[2]);
    if (argc > 3) return 0;
    bad_arguments();
    execs();
    network();
    return 0;
}
